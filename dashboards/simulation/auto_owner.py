"""The owner of a rehearsal: advances when the gates open, and approves what is too small to prove anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateResult, GateStatus, soak_gate
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Transition
from control_plane.experiments.credits import FLAG
from credits_engine.migration import advance_gate
from dashboards.simulation.simulator import ACTOR

PATIENCE = 2
SERVED, SAFETY = "served", "safety"
OWNERS = {SERVED, SAFETY}
"""The gates that an owner opens by hand, with a reason."""


@dataclass(frozen=True, slots=True)
class AutoOwner:
    """How an owner decides who is not there."""

    patience: int = PATIENCE
    """How many soak times a step that is too small to prove anything is given before it is approved by hand."""
    risk: float | None = None
    """The chance that a rate is above its threshold with which the owner goes on; None for none."""


DEFAULT = AutoOwner()


def may_advance(session: Session, now: datetime, owner: AutoOwner = DEFAULT) -> bool:
    """Return whether the step has lasted as long as it has to, and only the migration's own gate may object.

    That gate reads what `advance_check_job` finds, which looks at every user, so that is done last.
    """
    rollout = rollouts.find(session, FLAG)
    if not _has_soaked(rollout, now):
        return False
    gates = rollouts.gates(session, rollout, now, but={advance_gate.GATE})
    return _lets_pass(gates, approval_reason(owner, rollout, gates, now))


def try_advance(session: Session, now: datetime, owner: AutoOwner = DEFAULT) -> tuple[Transition, str] | None:
    """Advance if the gates allow it; returns what was done and the approval it took, empty where none was needed."""
    rollout = rollouts.find(session, FLAG)
    if not _has_soaked(rollout, now):
        return None
    gates = rollouts.gates(session, rollout, now)
    approval = approval_reason(owner, rollout, gates, now)
    if not _lets_pass(gates, approval):
        return None
    decision = rollouts.advance(
        session, FLAG, ChangeContext(now, ACTOR), expected_version=rollout.version, approval=approval
    )
    return (decision, approval) if isinstance(decision, Transition) else None


def _has_soaked(rollout: Rollout, now: datetime) -> bool:
    return rollout.state is RolloutState.RUNNING and soak_gate(rollout, now).status is GateStatus.OPEN


def _lets_pass(gates: list[GateResult], approval: str) -> bool:
    shut = {gate.status for gate in gates} - {GateStatus.OPEN}
    return not shut or (bool(approval) and shut == {GateStatus.UNKNOWN})


def approval_reason(owner: AutoOwner, rollout: Rollout, gates: list[GateResult], now: datetime) -> str:
    """Return why the owner would let a step pass that is too small to prove anything; empty while they would wait."""
    unknown = {gate.name: gate for gate in gates if gate.status is GateStatus.UNKNOWN}
    if not unknown or now - rollout.entered_at < owner.patience * rollout.phase.soak or unknown.keys() - OWNERS:
        return ""
    reasons = ["This step has too few users to serve more operations."] if SERVED in unknown else []
    if SAFETY in unknown:
        chances = [_chance(each) for each in unknown[SAFETY].evidence.values()]
        if owner.risk is None or not chances or any(chance is None or chance > owner.risk for chance in chances):
            return ""
        reasons.append(
            f"The chance that a rate is over its threshold is at most {owner.risk:.0%}, which the owner accepts."
        )
    return " ".join(reasons)


def _chance(evidence: object) -> float | None:
    """Return the chance that an alert's rate is above its threshold; None where the step itself speaks against it."""
    if (
        not isinstance(evidence, Mapping)
        or evidence["worse_than_before_this_step"]
        or evidence["above_threshold_in_this_step"]
    ):
        return None
    return float(evidence["chance_above_threshold"])
