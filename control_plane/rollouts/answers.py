"""Rollouts and refusals as JSON, for every route that answers with them."""

from collections.abc import Sequence
from datetime import datetime

from control_plane.core.gates import GateResult
from control_plane.core.lifecycle import stage
from control_plane.core.moves import NextMove
from control_plane.core.phases import Rollout
from control_plane.core.transitions import Refusal
from control_plane.platform.problems import Problem
from control_plane.rollouts import store
from control_plane.rollouts.publication import summary


def listed(rollout: Rollout, now: datetime) -> dict[str, object]:
    """Return a rollout in a list: how it stands, and what people call it by."""
    plan = rollout.plan
    return {
        **summary(rollout),
        "stage": stage(rollout, now).value,
        "description": plan.description,
        "owner": plan.owner,
        "tags": list(plan.tags),
        "type": plan.type.value,
        "archived_at": rollout.archived_at.isoformat() if rollout.archived_at else None,
        "completed_at": rollout.completed_at.isoformat() if rollout.completed_at else None,
    }


def detail(rollout: Rollout, now: datetime) -> dict[str, object]:
    """Return a rollout with its plan."""
    return {
        **listed(rollout, now),
        "position": {"phase": rollout.position.phase, "step": rollout.position.step},
        "plan_version": rollout.plan_version,
        "plan": store.plan_to_json(rollout.plan),
    }


def gate_documents(gates: Sequence[GateResult]) -> list[dict[str, object]]:
    """Return gates as JSON."""
    return [
        {
            "name": gate.name,
            "status": gate.status,
            "reason": gate.reason,
            "evidence": dict(gate.evidence),
            "opens_at": gate.opens_at.isoformat() if gate.opens_at else None,
        }
        for gate in gates
    ]


def move_document(move: NextMove) -> dict[str, object]:
    """Return the next move as JSON."""
    return {"due": move.is_due, "at": move.at.isoformat() if move.at else None, "reason": move.sentence}


def refused(refusal: Refusal) -> Problem:
    """Return the problem that a refusal becomes: 422 where the request lacks something, 409 where the rollout does."""
    code = refusal.reasons[0].code
    reasons = [{"code": reason.code, "sentence": reason.sentence} for reason in refusal.reasons]
    status = 422 if code in ("REASON_REQUIRED", "PLAN_INVALID", "INVALID_FLAG_NAME") else 409
    return Problem(status, code, refusal.sentence, reasons=reasons)
