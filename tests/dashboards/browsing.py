"""Looking at pages as a browser without JavaScript does, and at the database behind them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from control_plane.platform.database import db, reading, transaction


@contextmanager
def looking(app: Flask) -> Iterator[Session]:
    """A session to read with, outside any request."""
    with app.app_context(), reading() as session:
        yield session


@contextmanager
def changing(app: Flask) -> Iterator[Session]:
    """A session to write with, outside any request."""
    with app.app_context(), transaction() as session:
        yield session


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to the database while the block lasts; the block stands inside an application context."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def words(html: str) -> str:
    """What a page says, without its markup, blanks run together."""
    text = re.sub(r"<[^>]+>", " ", html)
    return re.sub(r"[\s\u202f]+", " ", unescape(text)).strip()
