"""The owner of a rehearsal: advances when the gates open, and approves what is too small to prove anything."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.gates import GateResult, GateStatus, soak_gate
from control_plane.phases import FLAG, Rollout, RolloutState
from control_plane.transitions import Transition
from credits_engine.migration import advance_gate
from dashboards.simulation.simulator import ACTOR

PATIENCE = 2
"""How many soak times a phase that is too small to prove anything is given before it is approved by hand."""


def may_advance(session: Session, now: datetime) -> bool:
    """Return whether the step has lasted as long as it has to, and only the migration's own gate may object.

    That gate reads what `advance_check_job` finds, which looks at every user, so that is done last.
    """
    rollout = rollouts.find(session, FLAG)
    if not _has_soaked(rollout, now):
        return False
    gates = rollouts.gates(session, rollout, now, but={advance_gate.GATE})
    return _lets_pass(gates, _approval(rollout, gates, now))


def try_advance(session: Session, now: datetime) -> tuple[Transition, str] | None:
    """Advance if the gates allow it; returns what was done and the approval it took, empty where none was needed."""
    rollout = rollouts.find(session, FLAG)
    if not _has_soaked(rollout, now):
        return None
    gates = rollouts.gates(session, rollout, now)
    approval = _approval(rollout, gates, now)
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


def _approval(rollout: Rollout, gates: list[GateResult], now: datetime) -> str:
    """Why the owner would let a phase pass that has too few users to prove anything; empty while they would wait."""
    unknown = [gate for gate in gates if gate.status is GateStatus.UNKNOWN]
    patient = now - rollout.entered_at >= PATIENCE * rollout.phase.soak
    if patient and [gate.name for gate in unknown] == ["served"]:
        return f"Too few users to prove more: {unknown[0].reason}"
    return ""
