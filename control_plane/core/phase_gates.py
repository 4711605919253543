"""What a plan asks of a phase before its steps may be left, and how they are left. Pure data with its own mistakes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict

from control_plane.core.calendars import Calendar, Zone, is_out_of_range, nonexistent, to_instant, zone_errors
from control_plane.core.value_types import LONGEST_DAYS, Duration, LocalTime, WholeNumber

STRICT = ConfigDict(extra="forbid")
QUORUM_MAX = 20
CHECKS_MAX = 5
INSTANTS_MAX = 100
SHORTEST_AGE, LONGEST_AGE = timedelta(minutes=1), timedelta(days=1)


class AdvanceMode(StrEnum):
    """`by_hand` waits for a person; `when_gates_open` moves as soon as every gate is open."""

    BY_HAND = "by_hand"
    WHEN_GATES_OPEN = "when_gates_open"


class OnBreach(StrEnum):
    """What the guard does about a breach that is the candidate's."""

    ROLL_BACK = "roll_back"
    STEP_BACK = "step_back"


class ApproverRole(StrEnum):
    """The roles whose approval a plan may ask for."""

    OPERATOR = "operator"
    APPROVER = "approver"
    OWNER = "owner"


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Local times at which a step may be left: each moves the rollout by one step, several that are overdue by one."""

    __pydantic_config__ = STRICT

    at: Annotated[
        tuple[LocalTime, ...],
        BeforeValidator(_listed, json_schema_input_type=LocalTime | tuple[LocalTime, ...]),
    ]
    zone: Zone = "UTC"

    def instants(self) -> tuple[datetime, ...]:
        """Return the instants of the local times."""
        return tuple(to_instant(each, self.zone) for each in self.at)

    def errors(self) -> Iterator[str]:
        """Yield every reason why the schedule can't be kept."""
        yield from zone_errors(self.zone)
        if not self.at or len(self.at) > INSTANTS_MAX:
            yield f"a schedule has 1 to {INSTANTS_MAX} times."
        if any(later <= earlier for earlier, later in pairwise(self.at)):
            yield "the times of a schedule ascend, each once."
        for each in self.at:
            if is_out_of_range(each, self.zone):
                yield f"{each:%d %B %Y} is no date at which anything could move."
            elif nonexistent(each, self.zone):
                yield f"{each:%d %B %Y %H:%M} does not exist in {self.zone}: the clocks skip it. Write another time."


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many other people with one of these roles have to approve each advance."""

    __pydantic_config__ = STRICT

    quorum: WholeNumber = 1
    roles: tuple[ApproverRole, ...] = (ApproverRole.OWNER,)

    def errors(self) -> Iterator[str]:
        """Yield every reason why nobody could meet it."""
        if not 1 <= self.quorum <= QUORUM_MAX:
            yield f"a quorum is 1 to {QUORUM_MAX}."
        if not self.roles:
            yield "approvals need at least one role."


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """An address that must answer with `status`; an answer older than `max_age` counts as none."""

    __pydantic_config__ = STRICT

    name: str
    url: str
    status: WholeNumber = 200
    max_age: Duration = timedelta(minutes=5)

    def errors(self) -> Iterator[str]:
        """Yield every reason why the address can't be asked."""
        if not self.name.strip() or len(self.name) > 50 or not self.name.isprintable():
            yield "a check needs a name of 1 to 50 characters."
        if (problem := _address_error(self.url)) is not None:
            yield f"check {self.name!r}: {problem}"
        if not 200 <= self.status <= 599:
            yield f"check {self.name!r}: status is 200 to 599."
        if self.max_age < SHORTEST_AGE:
            yield f"check {self.name!r}: max_age is at least PT1M, because it is asked every half minute."
        if self.max_age > LONGEST_AGE:
            yield f"check {self.name!r}: max_age is at most PT24H; an older answer says nothing of now."


@dataclass(frozen=True, slots=True)
class PhaseGates:
    """The gates that a phase asks for beside those that every phase has."""

    __pydantic_config__ = STRICT

    calendar: Calendar | None = None
    approvals: Approvals | None = None
    drill_days: WholeNumber | None = None
    """A drill of the guard must have passed within so many days."""
    restore_test_days: WholeNumber | None = None
    """A restore test must have passed within so many days."""
    http_checks: tuple[HttpCheck, ...] = ()

    def errors(self) -> Iterator[str]:
        """Yield every mistake."""
        if self.calendar:
            yield from self.calendar.errors()
        if self.approvals:
            yield from self.approvals.errors()
        for days in (self.drill_days, self.restore_test_days):
            if days is not None and not 1 <= days <= LONGEST_DAYS:
                yield f"drill_days and restore_test_days are 1 to {LONGEST_DAYS}."
        names = [check.name for check in self.http_checks]
        if len(names) > CHECKS_MAX or len(set(names)) < len(names):
            yield f"http_checks are at most {CHECKS_MAX}, each with a name of its own."
        for check in self.http_checks:
            yield from check.errors()


NO_GATES = PhaseGates()


def _address_error(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return f"{url[:80]!r} is no address; write one like https://host/path."
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url or len(url) > 500:
        return f"{url[:80]!r} is no address; write one like https://host/path."
    if parts.username is not None or parts.password is not None:
        return "its address holds a name or password, which everybody who reads the plan would see; leave it out."
    return None
