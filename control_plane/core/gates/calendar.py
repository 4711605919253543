"""The gate of days and hours: closed on weekends, at night or in a freeze, as the plan has it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from control_plane.core.calendars import Calendar
from control_plane.core.gates.result import GateResult, GateStatus


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
