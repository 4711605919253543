"""The time zone of a page: where its reader is, as their browser says in a cookie; UTC for everybody else. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from control_plane.core.calendars import known_zone

COOKIE = "time_zone"
"""Written by `live.js`; whoever has no scripts reads UTC."""

_current: ContextVar[tzinfo] = ContextVar("time_zone", default=UTC)


def reader_zone(cookie: str | None) -> str:
    """Return the name of the zone that a cookie holds; UTC where it holds none."""
    try:
        return known_zone(cookie or "UTC")
    except ValueError:
        return "UTC"


def time_zone() -> tzinfo:
    """Return the present zone."""
    return _current.get()


def set_time_zone(name: str) -> None:
    """Let the times that this thread writes from now on be of this zone."""
    _current.set(ZoneInfo(name))


@contextmanager
def use_time_zone(name: str) -> Iterator[None]:
    """Write the times of a zone for as long as it lasts."""
    before = _current.set(ZoneInfo(name))
    try:
        yield
    finally:
        _current.reset(before)


def local(instant: datetime) -> datetime:
    """Return the same instant by the clocks of the present zone; by UTC where the zone has no date for it."""
    try:
        return instant.astimezone(time_zone())
    except OverflowError:
        return instant.astimezone(UTC)


def offset(instant: datetime) -> str:
    """Return how far the present zone is from UTC at that instant: `UTC`, `UTC+1`, `UTC+5:45`."""
    ahead = local(instant).utcoffset()
    minutes = int(ahead.total_seconds()) // 60 if ahead else 0
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "\N{MINUS SIGN}"
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")
