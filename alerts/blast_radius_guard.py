"""The caps of a step: the guard holds once v2 has served more than the plan puts at stake.

A person who resumes has seen it; the same step is not held for its caps again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts import store
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Decision
from control_plane.platform.extensions import AppState
from control_plane.rollouts import blast_radius
from control_plane.rollouts.blast_radius import BlastRadius

SOURCE = "blast_radius"
MEASURED_EVERY = timedelta(seconds=10)
MEASURED = AppState[dict[str, tuple[int, datetime, BlastRadius]]]("measured_blast_radius", dict)
"""By flag: the version of the rollout, when it was measured, and what was found."""


def enforce(session: Session, rollout: Rollout, *, now: datetime, actor: str) -> Decision | None:
    """Hold `rollout` if its step is over a cap and nobody has resumed it since; None where nothing is to be done."""
    if rollout.state is not RolloutState.RUNNING or not blast_radius.has_limits(rollout.phase):
        return None
    blast = _measured(session, rollout, now)
    over = blast_radius.violated_limits(rollout.phase, blast)
    if not over or store.was_held_for(session, rollout.flag, SOURCE, since=rollout.entered_at):
        return None
    evidence: Mapping[str, object] = {
        "source": SOURCE,
        "users": blast.users,
        "operations": blast.operations,
        "credits_at_risk": blast.credits_at_risk,
    }
    reason = f"The blast radius of this step is used up: {' '.join(over)}"
    return rollouts.hold(session, rollout.flag, ChangeContext(now, actor, reason, evidence=evidence))


def _measured(session: Session, rollout: Rollout, now: datetime) -> BlastRadius:
    """Measure the impact of this step at most every ten seconds: counting costs as much as there is to count."""
    known = MEASURED.get()
    version, at, blast = known.get(rollout.flag, (0, now, BlastRadius()))
    if version != rollout.version or not timedelta(0) <= now - at < MEASURED_EVERY:
        blast = blast_radius.current_impact(session, rollout.flag, rollout.entered_at)
        known[rollout.flag] = (rollout.version, now, blast)
    return blast
