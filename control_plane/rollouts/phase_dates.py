"""Planned and actual dates of phases: what was entered when, and what is late. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from control_plane.core.phases import Phase, Rollout
from control_plane.platform.auth.audit import Entry


def phase_dates(rollout: Rollout, entries: Iterable[Entry], now: datetime) -> list[dict[str, object]]:
    """Return for each phase its planned start, when this attempt entered it first, and how many days late that is."""
    entered = _entered(rollout, entries)
    return [_dates(phase, entered.get(phase.name), now) for phase in rollout.plan.phases]


def _entered(rollout: Rollout, entries: Iterable[Entry]) -> Mapping[str, datetime]:
    found = {rollout.phase.name: rollout.entered_at}
    for entry in entries:
        after = entry.after or {}
        if after.get("attempt") == rollout.attempt and "entered_at" in after:
            at = datetime.fromisoformat(str(after["entered_at"]))
            name = str(after.get("phase"))
            found[name] = min(at, found.get(name, at))
    return found


def _dates(phase: Phase, entered_at: datetime | None, now: datetime) -> dict[str, object]:
    return {
        "name": phase.name,
        "planned_start": phase.planned_start.isoformat() if phase.planned_start else None,
        "entered_at": entered_at.isoformat() if entered_at else None,
        "days_late": phase.days_late(entered_at or now),
    }
