"""The gate of an address that must answer: it reads what the leader was answered last."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.core.gates.result import GateResult, GateStatus
from control_plane.core.phase_gates import HttpCheck

CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What an address answered, as a sentence, and whether that was as it should be."""

    passed: bool
    sentence: str
    at: datetime


def http_check_gate(check: HttpCheck, found: CheckResult | None, now: datetime) -> GateResult:
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
