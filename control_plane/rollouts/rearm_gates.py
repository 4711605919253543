"""The gates of a new attempt, and of whatever else lets users in after a rollback."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.gates import GateResult
from control_plane.core.phases import Rollout
from control_plane.platform.extensions import AppState
from control_plane.rollouts.gate_kinds import calendar_of_lowest

Gate = Callable[[Session, Rollout, datetime], GateResult]
"""Answers whether a rollout may go on; registered by the packages above."""

REARM_GATES = AppState[dict[str, Gate]]("rearm_gates", dict)


def register_rearm_gate(name: str, gate: Gate) -> None:
    """Let `gate` have a say in re-arming."""
    REARM_GATES.get()[name] = gate


def rearm_gates(session: Session, rollout: Rollout, now: datetime) -> list[GateResult]:
    """Evaluate every gate of re-arming."""
    calendar = calendar_of_lowest(rollout, now)
    return [*calendar, *(gate(session, rollout, now) for gate in REARM_GATES.get().values())]
