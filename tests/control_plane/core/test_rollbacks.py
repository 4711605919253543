"""The latch: from every state, until the cool-down is over and a person re-arms."""

from datetime import timedelta

import pytest

from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import LOWEST, RolloutState
from control_plane.core.rollbacks import cool_down_ends, decide_rearm, decide_rollback
from control_plane.core.transitions import Refusal, decide_advance, decide_hold, decide_resume, decide_step_back
from tests.control_plane.core.decisions import NOW, a_rollout, codes, done

OPEN = GateResult("evidence", GateStatus.OPEN, "Proven.")
CLOSED = GateResult("guardrails", GateStatus.CLOSED, "API errors are above 0.5 %.")


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.HELD, RolloutState.COMPLETE])
def test_it_rolls_back_from_every_state_and_latches(state: RolloutState) -> None:
    latched = done(decide_rollback(a_rollout(state=state), now=NOW, reason="Double charges."))
    assert latched.latched
    assert codes(decide_rollback(latched, now=NOW, reason="Again.")) == {"ALREADY_ROLLED_BACK"}
    for decision in (
        decide_advance(latched, [OPEN], now=NOW, expected_version=latched.version),
        decide_step_back(latched, now=NOW, expected_version=latched.version, reason="x"),
        decide_hold(latched, now=NOW, reason="x"),
        decide_resume(latched, now=NOW, reason="x"),
    ):
        assert isinstance(decision, Refusal)


def test_a_verdict_on_an_earlier_attempt_does_not_roll_back_this_one() -> None:
    assert codes(decide_rollback(a_rollout(attempt=2), now=NOW, reason="Late.", attempt=1)) == {"OTHER_ATTEMPT"}


def test_rearming_waits_for_the_cool_down_and_begins_again_at_the_bottom() -> None:
    latched = done(decide_rollback(a_rollout(), now=NOW, reason="Double charges."))
    early = decide_rearm(latched, [], now=NOW + timedelta(minutes=29), expected_version=8, reason="Fixed.")
    assert codes(early) == {"COOL_DOWN"}
    after = done(decide_rearm(latched, [], now=NOW + timedelta(minutes=30), expected_version=8, reason="Fixed."))
    assert (after.position, after.attempt, after.state) == (LOWEST, 2, RolloutState.RUNNING)


def test_rearming_is_refused_while_an_alert_fires() -> None:
    latched = done(decide_rollback(a_rollout(), now=NOW, reason="Double charges."))
    later = NOW + timedelta(days=1)
    assert codes(decide_rearm(latched, [CLOSED], now=later, expected_version=8, reason="Fixed.")) == {"GATE_CLOSED"}


def test_the_cool_down_doubles_with_each_attempt() -> None:
    lengths = [cool_down_ends(a_rollout(attempt=n, state_changed_at=NOW)) - NOW for n in (1, 2, 3)]
    assert lengths == [timedelta(minutes=30), timedelta(minutes=60), timedelta(minutes=120)]
    assert cool_down_ends(a_rollout(attempt=999, state_changed_at=NOW)) - NOW == timedelta(days=7)
