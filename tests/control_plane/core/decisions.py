"""A rollout in the middle of its plan, and what was decided about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, Rollout, RolloutState
from control_plane.core.transitions import Decision, Refusal, Transition

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_rollout(**changes: Any) -> Rollout:
    rollout = Rollout(
        flag="ENABLE_CREDITS_V2",
        plan=default_plan(NOW),
        version=7,
        attempt=1,
        state=RolloutState.RUNNING,
        position=Position(2, 1),
        entered_at=NOW - timedelta(days=2),
        state_changed_at=NOW - timedelta(days=9),
        state_reason="Planned.",
    )
    return replace(rollout, **changes)


def codes(decision: Decision) -> set[str]:
    assert isinstance(decision, Refusal)
    return {reason.code for reason in decision.reasons}


def done(decision: Decision) -> Rollout:
    assert isinstance(decision, Transition)
    return decision.after
