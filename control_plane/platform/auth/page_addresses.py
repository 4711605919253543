"""Where somebody is led once they have signed in, or a form was refused: pages of this site alone."""

from urllib.parse import urlsplit

from flask import current_app, request
from werkzeug.exceptions import HTTPException

FRONT_PAGE = "/"


def local_path(target: str | None) -> str:
    """Return the page to show after signing in: `target` if it is a path of this site, else the front page."""
    if not target or not target.isprintable() or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return FRONT_PAGE
    return target


def referring_page() -> str:
    """Return the page on which the form stood that is answered now, if it can be had again; else the front page."""
    before = urlsplit(request.referrer or "")
    try:
        current_app.url_map.bind("").match(before.path, method="GET")
    except HTTPException:
        return FRONT_PAGE
    return local_path(f"{before.path}?{before.query}" if before.query else before.path)
