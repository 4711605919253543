"""The gate of the migration: closed while the next step would have v2 refuse too many, or the comparison is unsound."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Position, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from credits_engine.engines import v2
from credits_engine.engines.advance_check import AdvanceCheck, gate_result, tolerated
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Outcome, Request
from credits_engine.migration import advance_check_job, advance_gate
from credits_engine.operations.consumption import Engines
from credits_engine.store import check_results as store
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.statements import noted

BETA, LAST_OF_NEWCOMERS = Position(1, 0), Position(2, 3)
FOUND = AdvanceCheck(NOW, version=1, users=100, entering=100, refused=0, operations=10, mismatches=0, unlike=0)


@pytest.fixture
def rollout(consumer: Consumer) -> Rollout:
    """The guide's plan at its first step; everybody of the directory signed up before its newcomers."""
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW - timedelta(days=1), "test", "A plan."))
        return rollouts.find(session, FLAG)


def at(rollout: Rollout, position: Position) -> Rollout:
    """Return the rollout moved to `position` in the database, its version one higher."""
    moved = replace(rollout, position=position, version=rollout.version + 1)
    with transaction() as session:
        assert rollout_store.compare_and_set(session, moved, expected_version=rollout.version)
    return moved


def answer_after_check(rollout: Rollout) -> GateResult:
    """Return the gate's answer just after the leader has examined the rollout."""
    found = advance_check_job.examine(rollout, NOW, rest=lambda: None)
    with transaction() as session:
        store.add_advance_check(session, rollout.flag, found)
    return answer(rollout)


def answer(rollout: Rollout, now: datetime = NOW) -> GateResult:
    with read_only() as session:
        return advance_gate.gate(session, rollout, now)


def spend(consumer: Consumer, *users: str, roast: int = 12) -> None:
    """Spend for each user what legacy grants; v2's limit of the free plan is 10 roasts."""
    for user in users:
        consumer.user(user)
        consumer.take(user, "k1", roast=roast)


@pytest.fixture
def everybody_enters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets decide who enters at 10 %; here everybody is in one of the first."""
    monkeypatch.setattr("flags.evaluation.evaluator.bucket", lambda _flag, _user: 0)


@pytest.mark.usefixtures("everybody_enters")
def test_a_step_that_would_refuse_too_many_is_closed_and_says_whom_it_counts(
    consumer: Consumer, rollout: Rollout
) -> None:
    spend(consumer, "ada", "bob")
    consumer.user("cyd")
    gate = answer_after_check(at(rollout, LAST_OF_NEWCOMERS))
    assert gate.status is GateStatus.CLOSED
    assert "Of the 3 users who would enter, v2 would refuse 2 what" in gate.reason
    assert "66.7%" in gate.reason
    assert "at most 5 %" in gate.reason
    assert (gate.evidence["entering"], gate.evidence["refused"], gate.evidence["operations"]) == (3, 2, 2)


@pytest.mark.usefixtures("everybody_enters")
def test_one_of_few_closes_nothing(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, "ada")
    consumer.user("cyd")
    gate = answer_after_check(at(rollout, LAST_OF_NEWCOMERS))
    assert gate.status is GateStatus.OPEN
    assert "Of the 2 users who would enter, v2 would refuse 1 what" in gate.reason


def test_only_who_would_enter_counts(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, *(f"u{number}" for number in range(60)))
    gate = answer_after_check(at(rollout, LAST_OF_NEWCOMERS))
    assert gate.evidence["users"] == 60
    assert 0 < int(str(gate.evidence["entering"])) < 30
    assert gate.evidence["entering"] == gate.evidence["refused"]


def test_whoever_is_in_already_is_not_counted_again(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, *(f"u{number}" for number in range(60)))
    newcomers = replace(rollout, plan=default_plan(NOW - timedelta(days=1)))
    assert answer_after_check(at(newcomers, LAST_OF_NEWCOMERS)).evidence["entering"] == 0
    half = answer_after_check(at(replace(newcomers, version=2), Position(2, 2)))
    assert 0 < int(str(half.evidence["entering"])) < 60


def test_a_step_that_lets_nobody_in_looks_at_nobody(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, "ada", "bob")
    last = at(rollout, Position(len(rollout.plan.phases) - 1, len(rollout.plan.phases[-1].steps) - 1))
    assert advance_check_job.refresh(NOW) is None
    other = answer(replace(rollout, flag="ANOTHER"))
    assert (answer(last).status, other.status, other.evidence) == (GateStatus.OPEN, GateStatus.OPEN, {})


def test_people_chosen_by_name_may_be_refused(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, "ada", "bob")
    assert answer_after_check(rollout).status is GateStatus.OPEN


def lying(loaded: Book, request: Request) -> Decision:
    return replace(v2.decide(loaded, request), outcome=Outcome.DENIED_LIMIT, charged=Amounts())


def test_a_journal_that_contradicts_the_engines_closes_even_the_allowlist(consumer: Consumer, rollout: Rollout) -> None:
    consumer.user("ada")
    consumer.engines = Engines(v2=lying)
    consumer.take("ada", "k1", analysis=1)
    gate = answer_after_check(rollout)
    assert gate.status is GateStatus.CLOSED
    assert "1 from what was journalled" in gate.reason
    later = replace(rollout, entered_at=NOW + timedelta(seconds=1))
    assert answer_after_check(later).status is GateStatus.OPEN, (
        "what an earlier attempt left is no evidence of this one"
    )


@pytest.mark.usefixtures("everybody_enters")
def test_what_the_leader_found_is_the_answer_for_hours_and_says_when_it_looked(
    consumer: Consumer, rollout: Rollout
) -> None:
    spend(consumer, "ada", "bob")
    moved = at(rollout, LAST_OF_NEWCOMERS)
    advance_check_job.refresh(NOW)
    found = answer(moved, NOW + advance_gate.FRESH)
    assert found.status is GateStatus.CLOSED
    assert found.reason.endswith(f"Examined on {NOW:%Y-%m-%d %H:%M} UTC.")
    old = answer(moved, NOW + advance_gate.FRESH + timedelta(seconds=1))
    assert old.status is GateStatus.UNKNOWN
    assert f"the last result is of {NOW:%Y-%m-%d %H:%M} UTC" in old.reason


def test_a_clock_that_is_a_little_behind_the_leaders_reads_its_answer(consumer: Consumer, rollout: Rollout) -> None:
    advance_check_job.refresh(NOW)
    assert answer(rollout, NOW - timedelta(seconds=5)).status is GateStatus.OPEN
    assert answer(rollout, NOW - timedelta(minutes=5)).status is GateStatus.UNKNOWN


def test_where_the_leader_has_not_looked_at_this_version_nothing_is_known(consumer: Consumer, rollout: Rollout) -> None:
    assert answer(rollout).status is GateStatus.UNKNOWN
    advance_check_job.refresh(NOW)
    moved = answer(at(rollout, BETA))
    assert moved.status is GateStatus.UNKNOWN
    assert "Nobody has looked yet whom v2 would refuse next, at version 2 of the rollout." in moved.reason


def test_the_gate_sends_one_statement_to_the_database(consumer: Consumer, rollout: Rollout) -> None:
    spend(consumer, "ada")
    with read_only() as session, noted() as sent:
        advance_gate.gate(session, rollout, NOW)
    assert [("credit_readiness" in sql) for sql, _ in sent] == [True]


@given(entering=st.integers(0, 10_000), refused=st.integers(0, 10_000), percent=st.integers(0, 100))
def test_the_share_is_kept_to_the_user(entering: int, refused: int, percent: int) -> None:
    found = replace(FOUND, entering=entering, refused=min(refused, entering))
    closed = gate_result(found, percent_max=percent, beyond_allowlist=True)[0] is GateStatus.CLOSED
    one_alone = percent > 0 and found.refused == 1
    assert closed is (found.refused * 100 > percent * entering and not one_alone)
    assert tolerated(entering, 100) >= entering
