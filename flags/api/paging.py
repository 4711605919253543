"""Pages of a list: at most so many entries after a cursor."""

from flask import request

from control_plane.platform.problems import Problem

LIMIT_MAX = 1_000
QUERY = {"limit": f"At most so many, up to {LIMIT_MAX}.", "cursor": "`next` of the page before."}
"""The parameters of a list that comes in pages, for its description."""


def page_limit() -> int:
    """Return how many entries the caller wants at most; raises Problem for anything else."""
    text = request.args.get("limit", str(LIMIT_MAX))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise Problem(422, "INVALID_PARAMETER", f"limit is {text[:40]!r}; write a number from 1 to {LIMIT_MAX}.")
    return int(text)


def page_cursor() -> str:
    """Return the last entry of the page before; nothing for the first page."""
    return request.args.get("cursor", "")
