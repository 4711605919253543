"""An application for as long as a block lasts, with no connection left open behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from control_plane.app import create_app
from control_plane.platform.database import db
from control_plane.platform.settings import Settings


@contextmanager
def application(settings: Settings, *, schema_may_wait: bool = False) -> Iterator[Flask]:
    """The whole application, its schema up to date. Afterwards its database may be copied, moved or dropped."""
    app = create_app(settings, schema_may_wait=schema_may_wait)
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()
