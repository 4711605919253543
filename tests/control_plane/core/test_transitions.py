"""What may happen to a rollout, what may not, and why: single decisions, and any sequence of them."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus, soak_gate
from control_plane.core.phases import LOWEST, Phase, Plan, Position, Rollout, RolloutState, new_rollout, positions
from control_plane.core.rollbacks import decide_rearm, decide_rollback
from control_plane.core.transitions import (
    Decision,
    Refusal,
    Transition,
    decide_advance,
    decide_hold,
    decide_resume,
    decide_step_back,
)
from tests.control_plane.core.decisions import NOW, a_rollout, codes, done

OPEN = GateResult("evidence", GateStatus.OPEN, "Proven.")
CLOSED = GateResult("guardrails", GateStatus.CLOSED, "API errors are above 0.5 %.")
UNKNOWN = GateResult("evidence", GateStatus.UNKNOWN, "12 more answers are needed.")


def test_an_advance_takes_the_next_step_and_starts_its_soak() -> None:
    after = done(decide_advance(a_rollout(), [OPEN], now=NOW, expected_version=7))
    assert (after.position, after.version, after.entered_at) == (Position(2, 2), 8, NOW)
    assert soak_gate(after, NOW).status is GateStatus.CLOSED
    assert soak_gate(after, NOW + after.phase.soak).status is GateStatus.OPEN


def test_a_refused_advance_lists_every_reason_at_once() -> None:
    held = a_rollout(state=RolloutState.HELD, state_reason="Support asked.")
    refusal = decide_advance(held, [CLOSED, UNKNOWN], now=NOW, expected_version=6)
    assert codes(refusal) == {"VERSION_CONFLICT", "NOT_RUNNING", "GATE_CLOSED", "GATE_UNKNOWN"}
    assert isinstance(refusal, Refusal)
    assert "API errors are above 0.5 %." in refusal.sentence


def test_an_approval_passes_what_is_unknown_and_never_what_is_closed() -> None:
    passed = decide_advance(a_rollout(), [UNKNOWN], now=NOW, expected_version=7, approval="Seen by hand.")
    assert isinstance(passed, Transition)
    assert codes(decide_advance(a_rollout(), [UNKNOWN], now=NOW, expected_version=7, approval="  ")) == {"GATE_UNKNOWN"}
    assert codes(decide_advance(a_rollout(), [CLOSED], now=NOW, expected_version=7, approval="Please.")) == {
        "GATE_CLOSED"
    }


def test_the_last_advance_completes_the_rollout_where_it_stands() -> None:
    last = a_rollout(position=positions(default_plan(NOW))[-1])
    after = done(decide_advance(last, [OPEN], now=NOW, expected_version=7))
    assert (after.state, after.position) == (RolloutState.COMPLETE, last.position)


def test_the_guard_neither_weakens_nor_ends_the_hold_of_a_person() -> None:
    by_person = done(decide_hold(a_rollout(), now=NOW, reason="Support asked."))
    assert codes(decide_hold(by_person, now=NOW, reason="Errors.", by_guard=True)) == {"ALREADY_HELD"}
    assert codes(decide_resume(by_person, now=NOW, reason="Calm.", by_guard=True)) == {"HELD_BY_PERSON"}
    by_guard = done(decide_hold(a_rollout(), now=NOW, reason="Errors.", by_guard=True))
    assert done(decide_hold(by_guard, now=NOW, reason="Mine now.")).held_by_guard is False
    assert done(decide_resume(by_guard, now=NOW, reason="Calm.", by_guard=True)).state is RolloutState.RUNNING


def a_complete_rollout(now: datetime) -> Rollout:
    last = a_rollout(position=positions(default_plan(NOW))[-1])
    return done(decide_advance(last, [OPEN], now=now, expected_version=7))


@pytest.mark.parametrize("by_guard", [True, False])
def test_a_complete_rollout_that_was_held_is_complete_again_since_the_same_moment(by_guard: bool) -> None:
    complete = a_complete_rollout(NOW)
    held = done(decide_hold(complete, now=NOW + timedelta(days=5), reason="Support asked.", by_guard=by_guard))
    assert (held.state, held.completed_at) == (RolloutState.HELD, NOW)
    after = done(decide_resume(held, now=NOW + timedelta(days=6), reason="Calm.", by_guard=by_guard))
    assert (after.state, after.completed_at) == (RolloutState.COMPLETE, NOW)


def test_a_step_back_in_a_hold_of_a_complete_rollout_reopens_it() -> None:
    held = done(decide_hold(a_complete_rollout(NOW), now=NOW, reason="Support asked."))
    back = done(decide_step_back(held, now=NOW, expected_version=held.version, reason="Too many questions."))
    assert (back.state, back.completed_at) == (RolloutState.HELD, None)
    assert done(decide_resume(back, now=NOW, reason="Calm.")).state is RolloutState.RUNNING


@pytest.mark.parametrize("reason", ["", "   "])
def test_every_change_by_a_person_needs_a_reason(reason: str) -> None:
    for decision in (
        decide_hold(a_rollout(), now=NOW, reason=reason),
        decide_rollback(a_rollout(), now=NOW, reason=reason),
        decide_step_back(a_rollout(), now=NOW, expected_version=7, reason=reason),
        decide_rearm(a_rollout(state=RolloutState.ROLLED_BACK), [], now=NOW, expected_version=7, reason=reason),
    ):
        assert "REASON_REQUIRED" in codes(decision)


moves = st.lists(
    st.tuples(
        st.sampled_from(["advance", "step_back", "hold", "guard_hold", "resume", "guard_resume", "rollback", "rearm"]),
        st.timedeltas(timedelta(0), timedelta(days=3)),
    ),
    max_size=60,
)


@given(moves)
def test_whatever_the_sequence_the_invariants_of_a_rollout_hold(sequence: list[tuple[str, timedelta]]) -> None:
    rollout, now = a_rollout(position=LOWEST), NOW
    for move, pause in sequence:
        now += pause
        decision = _decide(move, rollout, now)
        if isinstance(decision, Refusal):
            assert decision.reasons
            continue
        after = decision.after
        assert after.version == rollout.version + 1
        assert after.position in positions(after.plan)
        assert after.completed_at is None or after.position == positions(after.plan)[-1]
        assert (after.state is RolloutState.COMPLETE) <= (after.completed_at is not None) <= (not after.latched)
        assert after.attempt == rollout.attempt + (move == "rearm")
        if rollout.latched:
            assert (move, after.position) == ("rearm", LOWEST)
        elif move != "advance":
            assert after.position <= rollout.position, "only an advance may expose more"
        rollout = after


def _decide(move: str, rollout: Rollout, now: datetime) -> Decision:
    version = rollout.version
    match move:
        case "advance":
            return decide_advance(rollout, [soak_gate(rollout, now)], now=now, expected_version=version)
        case "step_back":
            return decide_step_back(rollout, now=now, expected_version=version, reason="r")
        case "hold" | "guard_hold":
            return decide_hold(rollout, now=now, reason="r", by_guard=move == "guard_hold")
        case "resume" | "guard_resume":
            return decide_resume(rollout, now=now, reason="r", by_guard=move == "guard_resume")
        case "rollback":
            return decide_rollback(rollout, now=now, reason="r")
        case _:
            return decide_rearm(rollout, [], now=now, expected_version=version, reason="r")


def test_a_step_back_never_goes_where_others_have_the_flag() -> None:
    """The step before would give the flag back to staging, if a plan took it from there on the way to qa."""
    phases = [
        Phase(name, name, AudienceKind.ENVIRONMENTS, (100,), timedelta(0), environments=names)
        for name, names in (("both", ("staging", "qa")), ("staging", ("staging",)), ("qa", ("qa",)))
    ]
    plan = Plan(tuple(phases), NOW)
    rollout = replace(new_rollout("FLAG", plan, now=NOW, reason="x"), position=Position(2, 0))
    refused = decide_step_back(rollout, now=NOW, expected_version=1, reason="Errors.")
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "STEP_ADMITS_USERS"
    narrower = replace(plan, phases=(phases[2], phases[1], phases[0]))
    moved = decide_step_back(replace(rollout, plan=narrower), now=NOW, expected_version=1, reason="Errors.")
    assert isinstance(moved, Transition)
    assert moved.after.position == Position(1, 0)
