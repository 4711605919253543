"""The gates that ask for something done lately: a drill, a restore test."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.core.gates.result import GateResult, GateStatus


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
