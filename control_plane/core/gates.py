"""Gates: the conditions of an advance. Each reads what is known and answers open, closed or unknown, and why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from control_plane.core.calendars import Calendar
from control_plane.core.phase_gates import HttpCheck
from control_plane.core.phases import Rollout

CLOCK_SKEW = timedelta(minutes=1)
"""How far in the future a time may lie that another process noted."""


class GateStatus(StrEnum):
    """`unknown` means too little is known to open: a named person may approve it, `closed` nobody may."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer, with the figures it rests on."""

    name: str
    status: GateStatus
    reason: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    opens_at: datetime | None = None

    @property
    def document(self) -> dict[str, object]:
        """The answer with its figures, as the audit trail keeps it."""
        return {"status": self.status, "reason": self.reason, **self.evidence}


def soak_gate(rollout: Rollout, now: datetime) -> GateResult:
    """Open once the current step has run for its soak time."""
    soaked, required = now - rollout.entered_at, rollout.phase.soak
    evidence = {"soaked_seconds": int(soaked.total_seconds()), "required_seconds": int(required.total_seconds())}
    if soaked >= required:
        return GateResult("soak", GateStatus.OPEN, "The soak time of this step is over.", evidence)
    opens = rollout.entered_at + required
    reason = f"The soak time of this step lasts until {opens:%Y-%m-%d %H:%M} UTC."
    return GateResult("soak", GateStatus.CLOSED, reason, evidence, opens)


def calendar_gate(calendar: Calendar, now: datetime) -> GateResult:
    """Open while the calendar lets a rollout move."""
    objection = calendar.objection(now)
    if objection is None:
        return GateResult("calendar", GateStatus.OPEN, f"It is a time at which moves are made in {calendar.zone}.")
    opens = calendar.opens_at(now)
    if opens is None:
        return GateResult("calendar", GateStatus.CLOSED, f"{objection} It does not open within a year.")
    local = opens.astimezone(ZoneInfo(calendar.zone))
    reason = f"{objection} It opens on {local:%A, %d %B %Y at %H:%M} in {calendar.zone}."
    return GateResult("calendar", GateStatus.CLOSED, reason, opens_at=opens)


@dataclass(frozen=True, slots=True)
class HttpCheckResult:
    """What an address answered, as a sentence, and whether that was as it should be."""

    passed: bool
    sentence: str
    at: datetime


def http_check_gate(check: HttpCheck, found: HttpCheckResult | None, now: datetime) -> GateResult:
    """Open while the last answer is right and recent; unknown without a recent one."""
    name = f"check {check.name}"
    if found is None:
        return GateResult(name, GateStatus.UNKNOWN, f"{check.url} has not been asked yet.")
    age = now - found.at
    evidence = {"asked_at": found.at.isoformat(), "age_seconds": int(age.total_seconds())}
    if not -CLOCK_SKEW <= age <= check.max_age:
        reason = f"{check.url} was asked last at {found.at:%Y-%m-%d %H:%M} UTC, which is too long ago."
        return GateResult(name, GateStatus.UNKNOWN, reason, evidence)
    status = GateStatus.OPEN if found.passed else GateStatus.CLOSED
    return GateResult(name, status, f"{check.url} {found.sentence}", evidence)


@dataclass(frozen=True, slots=True)
class LastRun:
    """When something was run last, and whether it passed."""

    at: datetime
    passed: bool


def recency_gate(name: str, what: str, days: int, last: LastRun | None, now: datetime) -> GateResult:
    """Open if the last run of `what` passed, within `days`; unknown where none is recorded."""
    if last is None:
        return GateResult(name, GateStatus.UNKNOWN, f"{what} is not recorded.", {"required_days": days})
    evidence = {"run_at": last.at.isoformat(), "passed": last.passed, "required_days": days}
    if not last.passed:
        return GateResult(name, GateStatus.CLOSED, f"{what} did not pass on {last.at:%Y-%m-%d}.", evidence)
    if now - last.at <= timedelta(days=days):
        return GateResult(name, GateStatus.OPEN, f"{what} passed on {last.at:%Y-%m-%d}.", evidence)
    reason = f"{what} passed last on {last.at:%Y-%m-%d}, which is more than {days} days ago."
    return GateResult(name, GateStatus.CLOSED, reason, evidence)
