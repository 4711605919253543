"""Parse query parameters strictly: a bad value is a 400 with a code, never a default."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar

from flask import request

from control_plane.platform.problems import Problem
from control_plane.platform.row_ids import ROW_ID_MAX
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.engines.decisions import EngineName

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
TEXT_MAX = 200

Choice = TypeVar("Choice", bound=StrEnum)


def refuse_unknown(*known: str) -> None:
    """Refuse filters that there are not: a misspelled one must not answer with everything."""
    for name in request.args:
        if name not in known:
            raise Problem(400, "UNKNOWN_PARAMETER", f"There is no parameter {name[:50]!r}; use {', '.join(known)}.")


def kind() -> Kind | None:
    """Read `creditType`."""
    text = request.args.get("creditType")
    if text is not None and text not in KINDS:
        raise Problem(400, "UNKNOWN_CREDIT_TYPE", f"creditType is {text[:50]!r}; use {' or '.join(KINDS)}.")
    return None if text is None else Kind(text)


def engine() -> EngineName | None:
    """Read `engine`."""
    return choice("engine", EngineName, "UNKNOWN_ENGINE")


def choice(name: str, known: type[Choice], code: str) -> Choice | None:
    """Return one of a few words."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        return known(text)
    except ValueError:
        raise Problem(400, code, f"{name} is {text[:50]!r}; use {' or '.join(known)}.") from None


def choices(name: str, known: type[Choice], code: str) -> frozenset[Choice]:
    """Return some of a few words, comma separated; empty when nothing is given."""
    found = request.args.get(name)
    if found is None:
        return frozenset()
    try:
        return frozenset(known(each) for each in found.split(","))
    except ValueError:
        raise Problem(400, code, f"{name} is {found[:50]!r}; use {', '.join(known)}, comma separated.") from None


def text(name: str) -> str | None:
    """Return a short text."""
    found = request.args.get(name)
    if found is not None and not (0 < len(found) <= TEXT_MAX and found.isprintable()):
        raise Problem(400, "INVALID_TEXT", f"{name} needs 1 to {TEXT_MAX} printable characters.")
    return found


def date_range() -> tuple[datetime | None, datetime | None]:
    """Read `startDate` and `endDate`: dates in UTC, both included, or instants with a time zone."""
    since, until = _moment("startDate", "INVALID_START_DATE"), _moment("endDate", "INVALID_END_DATE", ends=True)
    if since and until and since >= until:
        raise Problem(400, "INVALID_END_DATE", "endDate lies before startDate; swap them.")
    return since, until


def cursor() -> int | None:
    """Read `cursor`, as the page before gave it."""
    return integer("cursor", "INVALID_CURSOR", ROW_ID_MAX)


def limit(default: int = LIMIT_DEFAULT, most: int = LIMIT_MAX) -> int:
    """Read `limit`, the length of a page."""
    return integer("limit", "INVALID_LIMIT", most) or default


def wants_csv() -> bool:
    """Read `format`: whether a spreadsheet is asked for instead of JSON."""
    wanted = request.args.get("format", "json")
    if wanted not in ("json", "csv"):
        raise Problem(400, "UNKNOWN_FORMAT", f"format is {wanted[:50]!r}; use json or csv.")
    return wanted == "csv"


def integer(name: str, code: str, most: int) -> int | None:
    """Return a whole number from 1 to `most`; None when it is not given."""
    found = request.args.get(name)
    if found is None:
        return None
    if not (found.isascii() and found.isdecimal() and len(found) <= 19 and 1 <= int(found) <= most):
        raise Problem(400, code, f"{name} is {found[:50]!r}; write a whole number from 1 to {most}.")
    return int(found)


def _moment(name: str, code: str, *, ends: bool = False) -> datetime | None:
    found = request.args.get(name)
    if found is None:
        return None
    try:
        if len(found) == len("2026-01-31"):
            day = datetime.combine(date.fromisoformat(found), time(), UTC)
            return day + timedelta(days=1) if ends else day
        moment = datetime.fromisoformat(found)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    expected = "a date like 2026-01-31, or an instant with its time zone like 2026-01-31T08:00:00Z"
    raise Problem(400, code, f"{name} is {found[:50]!r}; write {expected}.")
