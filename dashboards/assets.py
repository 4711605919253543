"""Static files under addresses that change with their content, so that browsers may keep them for ever."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Response, request, send_from_directory, url_for

FOLDER = Path(__file__).parent / "static"
YEAR_SECONDS = 31_536_000


def static_url(name: str) -> str:
    """Return the address of a static file, with a mark of its content."""
    return url_for("pages.asset", name=name, v=digest(name))


def asset(name: str) -> Response:
    """Return a static file, to be kept for ever when it was asked for under its present mark."""
    response = send_from_directory(FOLDER, name)
    if request.args.get("v") == digest(name):
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    return response


@cache
def digest(name: str) -> str:
    """Return the mark of a file's content; it is read once per process."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
