"""An application for as long as a block lasts, with no connection left open behind it."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from control_plane.app import create_app
from control_plane.platform.db.database import db
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


def _written_once(write: Callable[[Rule, bool], Any]) -> Callable[[Rule, bool], Any]:
    """For every rule, Werkzeug writes and compiles two functions that build its address: most of what an application
    costs, and the same for each of the thousands that the tests make."""
    written: dict[Hashable, Any] = {}

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        words = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if words not in written:
            written[words] = write(rule, append_unknown)
        return written[words]

    return once


Rule._compile_builder = _written_once(Rule._compile_builder)  # type: ignore[method-assign]
