"""The days and hours at which a rollout may move, in a named time zone. Pure: instants come in, instants go out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict

from control_plane.core.value_types import LocalTime

HORIZON_DAYS = 400
MINUTE = timedelta(minutes=1)
FREEZES_MAX = 50
OF_THE_HOST = ("localtime", "posixrules", "Factory")
"""Names that each machine may read differently."""


class Weekday(StrEnum):
    """The days of the week, in the order of `date.weekday()`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


def known_zone(name: str) -> str:
    """Return `name` if it is a time zone; raises ValueError."""
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name[:40]!r} is no time zone; write one like Europe/Madrid or UTC.") from None


def zone_errors(zone: str) -> Iterator[str]:
    """Yield why the zone can't be used although there is one of that name."""
    if zone in OF_THE_HOST:
        yield f"{zone} is another zone on each machine; write one like Europe/Madrid or UTC."


def written_time(value: object) -> object:
    """Return `value` unless it is a number, which would be read as seconds; raises ValueError."""
    if isinstance(value, int | float):
        raise ValueError('a time of day is written in quotes, like "09:00".')  # noqa: TRY004 - pydantic's protocol
    return value


Zone = Annotated[str, AfterValidator(known_zone)]
TimeOfDay = Annotated[time, BeforeValidator(written_time)]


@dataclass(frozen=True, slots=True)
class Freeze:
    """A span of local time in which nothing moves; `until` is the first moment after it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    starts: LocalTime
    until: LocalTime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open on `days` from `opens` to `closes` (to midnight without it), except in freezes; all in local time."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    zone: Zone = "UTC"
    days: tuple[Weekday, ...] = tuple(Weekday)
    opens: TimeOfDay = time(0)
    closes: TimeOfDay | None = None
    freezes: tuple[Freeze, ...] = ()

    def objection(self, instant: datetime) -> str | None:
        """Say why it is closed at `instant`, as a sentence; None while it is open."""
        local = instant.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        for freeze in self.freezes:
            if freeze.starts <= local < freeze.until:
                because = f" ({freeze.reason})" if freeze.reason else ""
                return f"Nothing moves from {freeze.starts:%d %B %Y %H:%M} to {freeze.until:%d %B %Y %H:%M}{because}."
        if tuple(Weekday)[local.weekday()] not in self.days:
            return f"Nothing moves on a {local:%A}."
        if local.time() < self.opens or (self.closes is not None and local.time() >= self.closes):
            end = f"{self.closes:%H:%M}" if self.closes else "midnight"
            return f"It is {local:%H:%M} in {self.zone}; moves are made from {self.opens:%H:%M} to {end}."
        return None

    def opens_at(self, instant: datetime) -> datetime | None:
        """Return the first moment from `instant` on at which it is open; None where that is more than a year away."""
        if self.objection(instant) is None:
            return instant
        candidates = (each for each in self._candidates(instant) if each > instant)
        return next((each for each in candidates if self.objection(each) is None), None)

    def errors(self) -> Iterator[str]:
        """Yield every reason why the calendar can't be used."""
        yield from zone_errors(self.zone)
        if any(each.tzinfo for each in (self.opens, self.closes or self.opens)):
            yield "a calendar opens and closes by local time; leave out the offset, and name the zone."
            return
        if not self.days:
            yield "a calendar needs at least one day."
        if self.closes is not None and self.closes <= self.opens:
            yield f"the calendar closes at {self.closes:%H:%M}, which is not after {self.opens:%H:%M}."
        if any(each.second or each.microsecond for each in (self.opens, self.closes or self.opens)):
            yield "a calendar opens and closes at whole minutes."
        if len(self.freezes) > FREEZES_MAX:
            yield f"a calendar has at most {FREEZES_MAX} freezes."
        for freeze in self.freezes:
            if freeze.until <= freeze.starts:
                yield f"a freeze ends at {freeze.until}, which is not after {freeze.starts}."
            if any(each.second or each.microsecond for each in (freeze.starts, freeze.until)):
                yield "a freeze starts and ends at whole minutes."

    def _candidates(self, instant: datetime) -> Iterator[datetime]:
        """Yield moments at which it may open, in order: beginnings of days and hours, ends of freezes.

        On a day on which the clocks change every minute is one, because wall time then skips or repeats.
        """
        zone = ZoneInfo(self.zone)
        first = instant.astimezone(zone).date()
        for offset in range(HORIZON_DAYS):
            day = first + timedelta(days=offset)
            midnight, next_midnight = (_instant(day + timedelta(days=days), time(0), zone) for days in (0, 1))
            if next_midnight - midnight != timedelta(days=1):
                yield from (midnight + MINUTE * count for count in range((next_midnight - midnight) // MINUTE))
            else:
                ends = (freeze.until.time() for freeze in self.freezes if freeze.until.date() == day)
                yield from (_instant(day, each, zone) for each in sorted({self.opens, *ends}))


def nonexistent(local: datetime, zone: str) -> bool:
    """Return whether the clocks of `zone` skip `local`, as they do for an hour in spring."""
    aware = local.replace(tzinfo=ZoneInfo(zone))
    return aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local


def is_out_of_range(local: datetime, zone: str) -> bool:
    """Return whether `local` is so near to the first or last year that other zones have no date for it."""
    try:
        to_instant(local, zone).astimezone(ZoneInfo(zone))
    except OverflowError:
        return True
    return False


def to_instant(local: datetime, zone: str) -> datetime:
    """Return the instant of a local time; of a time that comes twice, as in autumn, the first."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)
