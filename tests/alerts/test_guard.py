"""The tick on both databases: counts become evidence, and evidence a hold or a rollback, once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts import guard, store
from alerts.definitions import rules_file
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, Rollout, RolloutState
from control_plane.core.transitions import Refusal
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db import database as databases
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts.store import compare_and_set
from tests.credit_signals import FAILED_V2_ONLY, FAILURE, ROUTED, UNCOMPARED, UNCOUNTED

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def exposed(app: Flask, now: datetime) -> Iterator[None]:
    """A rollout at 10 % of everyone, judged once."""
    with app.app_context():
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "The guide."))
        stand_at(Position(3, 0))
        run_guard(now, 1)
        yield


def stand_at(position: Position) -> None:
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        after = replace(found, position=position, version=found.version + 1)
        assert compare_and_set(session, after, expected_version=found.version)
        change_feed.publish(session, rollouts.TOPIC, FLAG, now=found.entered_at)


def answers(*, good: int = 0, bad: int = 0, engine: str = "v2", signal: str = FAILURE) -> None:
    """Outcomes of as many different accounts."""
    role = "served" if engine == "v2" else "shadow"
    for number in range(bad):
        signals.record(Sample(signal, bad=True, engine=engine, role=role, account=f"u{number}"))
        if signal == FAILURE and engine == "v2":
            signals.record(Sample(FAILED_V2_ONLY, bad=True, account=f"u{number}"))
    for _ in range(good):
        signals.record(Sample(signal, bad=False, engine=engine, role=role))


def pairs(*, good: int = 0, bad: int = 0) -> None:
    """Operations that legacy answered well and v2 did not always."""
    answers(good=good, bad=bad)
    answers(good=good + bad, engine="legacy")


def rollout() -> Rollout:
    with read_only() as session:
        return rollouts.find(session, FLAG)


def status_of(alert: str) -> str:
    with read_only() as session:
        verdicts = store.latest_verdicts(session, FLAG, attempt=rollout().attempt)
    return next(verdict.status.value for verdict in verdicts if verdict.alert == alert)


def test_one_error_in_twenty_is_watched_and_a_few_more_roll_back(now: datetime) -> None:
    pairs(good=19, bad=1)
    assert run_guard(now + SECOND, 1) == []
    assert (status_of(FAILURE), rollout().state) == ("watch", RolloutState.RUNNING)
    pairs(good=10, bad=8)
    run_guard(now + 2 * SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK


def test_a_rollback_says_which_alert_and_on_what_evidence(now: datetime) -> None:
    pairs(good=10, bad=10)
    (done,) = run_guard(now + SECOND, 1)
    assert done.reason.startswith("credit_consumption_failure: ")
    with read_only() as session:
        entry = audit.latest(session)[0]
    assert entry.actor == "guard"
    assert entry.after is not None
    verdict = entry.after["evidence"]["verdicts"][0]
    assert verdict["counts"] == {"bad": 10, "total": 20}
    assert verdict["evidence_log10"] >= verdict["rollback_log10"]
    assert verdict["attribution"] == "v2_only"


def test_a_second_tick_on_the_same_counts_does_nothing(now: datetime) -> None:
    pairs(good=10, bad=10)
    assert len(run_guard(now + SECOND, 1)) == 1
    version = rollout().version
    assert run_guard(now + 2 * SECOND, 1) == []
    assert rollout().version == version


TRIPWIRES = (
    "credit_ledger_difference",
    "credit_double_charge",
    "credits_at_risk",
    "billing_applied_twice",
    "billing_reset_twice",
)


@pytest.mark.parametrize("wire", TRIPWIRES)
def test_the_first_event_of_a_tripwire_rolls_back(now: datetime, wire: str) -> None:
    signals.record(Sample(wire, bad=True))
    (done,) = run_guard(now + SECOND, 1)
    assert (rollout().state, done.reason.partition(":")[0]) == (RolloutState.ROLLED_BACK, wire)


def test_every_tripwire_of_the_file_is_tried_here() -> None:
    acting = (rule for rule in rules_file.current().rules if not rule.metric.notifies_only)
    assert {rule.name for rule in acting if rule.tripwire} == set(TRIPWIRES)


def test_a_shared_outage_holds_and_does_not_roll_back(now: datetime) -> None:
    answers(good=10, engine="v2")
    for number in range(10):
        for engine, role in (("v2", "served"), ("legacy", "shadow")):
            signals.record(Sample(FAILURE, bad=True, engine=engine, role=role, account=f"u{number}"))
    answers(good=10, engine="legacy")
    run_guard(now + SECOND, 1)
    assert (rollout().state, rollout().held_by_guard) == (RolloutState.HELD, True)


def test_without_exposure_a_breach_holds(now: datetime) -> None:
    stand_at(Position(0, 0))
    pairs(good=10, bad=10)
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.HELD


def test_a_hold_of_the_guard_is_released_when_the_evidence_stays_low(now: datetime) -> None:
    pairs(good=16, bad=4)
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.HELD
    pairs(good=3000)
    run_guard(now + 2 * SECOND, 1)
    assert rollout().state is RolloutState.HELD, "one calm look is not enough"
    later = now + timedelta(seconds=400)
    pairs(good=10)
    run_guard(later, 1)
    assert rollout().state is RolloutState.RUNNING


def test_the_guard_does_not_release_the_hold_of_a_person(now: datetime) -> None:
    with transaction() as session:
        rollouts.hold(session, FLAG, ChangeContext(now, "olga", "Support asked."))
    pairs(good=3000)
    run_guard(now + timedelta(seconds=400), 1)
    assert rollout().state is RolloutState.HELD


def test_evidence_survives_a_restart_and_a_change_of_leader(now: datetime) -> None:
    pairs(good=18, bad=2)
    run_guard(now + SECOND, 1)
    pairs(good=18, bad=4)
    run_guard(now + 2 * SECOND, 2)
    with read_only() as session:
        found = store.latest_verdicts(session, FLAG, attempt=1)
    assert next(each.counts for each in found if each.alert == FAILURE).total == 20 + 22, (
        "of four accounts that fail, each counts"
    )


def test_a_leader_whose_term_is_over_leaves_no_trace(now: datetime) -> None:
    run_guard(now + SECOND, 2)
    with read_only() as session:
        lease = leases.guard_expires_at(session)
    pairs(good=10, bad=10)
    with pytest.raises(guard.FencedError):
        run_guard(now + 20 * SECOND, 1)
    assert rollout().state is RolloutState.RUNNING
    with read_only() as session:
        assert leases.guard_expires_at(session) == lease


def test_a_new_attempt_begins_with_new_evidence(now: datetime) -> None:
    pairs(good=10, bad=10)
    run_guard(now + SECOND, 1)
    later = now + timedelta(hours=1)
    with transaction() as session:
        rollouts.rearm(
            session, FLAG, ChangeContext(later, "alice", "Fixed in 2.1."), expected_version=rollout().version
        )
    run_guard(later, 1)
    assert rollout().state is RolloutState.RUNNING
    with read_only() as session:
        found = store.latest_verdicts(session, FLAG, attempt=2)
    assert all(verdict.counts.total == 0 for verdict in found if verdict.alert == FAILURE)


def test_rearming_waits_until_the_alert_no_longer_fires(now: datetime) -> None:
    pairs(good=10, bad=10)
    run_guard(now + SECOND, 1)
    later = now + timedelta(hours=1)
    pairs(good=10, bad=10)
    run_guard(later, 1)
    for at, refused in ((later, True), (later + timedelta(minutes=6), False)):
        with transaction() as session:
            version = rollouts.find(session, FLAG).version
            decision = rollouts.rearm(
                session, FLAG, ChangeContext(at, "alice", "Fixed in 2.1."), expected_version=version
            )
        assert isinstance(decision, Refusal) is refused


def test_counters_that_were_reset_are_a_new_baseline(now: datetime) -> None:
    pairs(good=50)
    run_guard(now + SECOND, 1)
    with transaction() as session:
        databases.execute_core(session, signals.TOTAL.delete())
    pairs(good=5)
    run_guard(now + 2 * SECOND, 1)
    assert rollout().state is RolloutState.RUNNING
    pairs(good=5)
    run_guard(now + 3 * SECOND, 1)
    with read_only() as session:
        found = store.latest_verdicts(session, FLAG, attempt=1)
    assert next(each.counts.total for each in found if each.alert == FAILURE) == 55


def test_an_hour_of_clock_jumps_rolls_nothing_back(now: datetime) -> None:
    for jump in (3600, -3600, 0, 7200, -7200):
        pairs(good=40)
        run_guard(now + timedelta(seconds=jump), 1)
    assert rollout().state is RolloutState.RUNNING
    pairs(good=10, bad=30)
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK, "and it still sees a fault afterwards"


def routed(operations: int) -> None:
    """Operations that the router gave to v2."""
    for _ in range(operations):
        signals.record(Sample(ROUTED, bad=False, engine="v2"))


def test_exposed_operations_that_nobody_counts_hold_within_a_window_and_roll_back_after_two(now: datetime) -> None:
    for second in range(0, 301, 10):
        routed(1)
        run_guard(now + second * SECOND, 1)
    assert status_of(FAILURE) == "blind"
    assert (rollout().state, rollout().held_by_guard) == (RolloutState.HELD, True)
    for second in range(310, 611, 10):
        routed(1)
        run_guard(now + second * SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK
    assert "nothing was counted" in rollout().state_reason


def test_without_traffic_nothing_is_blind(now: datetime) -> None:
    routed(5)
    pairs(good=5)
    for hour in range(1, 30):
        run_guard(now + timedelta(hours=hour), 1)
    assert (status_of(FAILURE), rollout().state) == ("insufficient", RolloutState.RUNNING)


def test_a_blind_hold_ends_when_counting_is_back(now: datetime) -> None:
    for second in range(0, 310, 10):
        routed(1)
        run_guard(now + second * SECOND, 1)
    assert rollout().state is RolloutState.HELD
    routed(40)
    pairs(good=40)
    signals.record(*(Sample("credit_serving_failure", bad=False, engine="v2") for _ in range(40)))
    signals.record(*(Sample("credit_variance", bad=False) for _ in range(40)))
    signals.record(*(Sample("credit_slower_by_v2_only", bad=False) for _ in range(40)))
    signals.record(*(Sample("credit_refused_by_v2_only", bad=False, role="plus") for _ in range(40)))
    run_guard(now + 320 * SECOND, 1)
    assert rollout().state is RolloutState.RUNNING


def test_one_broken_account_alone_in_the_night_is_not_blindness(now: datetime) -> None:
    for second in range(0, 700, 10):
        routed(1)
        signals.record(
            Sample(FAILURE, bad=True, engine="v2", account="u1"),
            *(Sample(signal, bad=False, engine="v2") for signal in (UNCOUNTED, UNCOMPARED)),
        )
        run_guard(now + second * SECOND, 1)
    assert status_of("credit_variance") == "insufficient"
    assert status_of(FAILURE) == "insufficient", "an account counts once an hour"
