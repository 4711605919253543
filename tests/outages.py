"""Outages of the database that a test makes and ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from control_plane.platform.database import db


@contextmanager
def unreachable(app: Flask) -> Iterator[None]:
    """The database takes no new connection and has lost the old ones."""

    def refuse(*_: object) -> None:
        raise OperationalError("connect", None, ConnectionRefusedError())

    with app.app_context():
        engine = db.engine
    event.listen(engine, "do_connect", refuse)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "do_connect", refuse)
