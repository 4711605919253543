"""How late a phase begins, by the day that its plan has for it. Pure."""

from datetime import UTC, datetime, time

from control_plane.core.phases import Phase


def days_late(phase: Phase, begun: datetime) -> int:
    """Return how many whole days after its planned start a phase begins at `begun`; 0 where none is planned."""
    if phase.planned_start is None:
        return 0
    return max(0, (begun - datetime.combine(phase.planned_start, time(), UTC)).days)
