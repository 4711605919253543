"""Looking at pages as a browser without JavaScript does, and at the database behind them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.db.database import read_only, transaction


@contextmanager
def read_session(app: Flask) -> Iterator[Session]:
    """Yield a session to read with, outside any request."""
    with app.app_context(), read_only() as session:
        yield session


@contextmanager
def write_session(app: Flask) -> Iterator[Session]:
    """Yield a session to write with, outside any request."""
    with app.app_context(), transaction() as session:
        yield session


def page_text(html: str) -> str:
    """Return the text of a page, without its markup, blanks run together."""
    text = re.sub(r"<[^>]+>", " ", html)
    return re.sub(r"[\s\u202f]+", " ", unescape(text)).strip()
