"""The gates that ask for something done lately: a drill, a restore test."""

from datetime import datetime, timedelta

from control_plane.gates.result import GateResult, GateStatus


def recency_gate(name: str, what: str, days: int, passed_at: datetime | None, now: datetime) -> GateResult:
    """Open if `what` passed within `days`; unknown where nothing is recorded."""
    if passed_at is None:
        return GateResult(name, GateStatus.UNKNOWN, f"{what} that passed is not recorded.", {"required_days": days})
    evidence = {"passed_at": passed_at.isoformat(), "required_days": days}
    if now - passed_at <= timedelta(days=days):
        return GateResult(name, GateStatus.OPEN, f"{what} passed on {passed_at:%Y-%m-%d}.", evidence)
    reason = f"{what} passed last on {passed_at:%Y-%m-%d}, which is more than {days} days ago."
    return GateResult(name, GateStatus.CLOSED, reason, evidence)
