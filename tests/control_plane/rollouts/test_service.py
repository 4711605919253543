"""The use cases on both databases: stored by compare-and-set, audited, announced, and refused with reasons."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.calendars import Calendar, Freeze
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import PhaseGates
from control_plane.core.phases import Position, RolloutState, exposure
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import SETTINGS
from control_plane.rollouts import store
from tests.statements import wait_until_somebody_waits


@pytest.fixture(autouse=True)
def planned(app: Flask, now: datetime) -> None:
    """The guide's rollout, with no gate of another package in the way."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "The guide."))


def advance(now: datetime, version: int, approval: str = "") -> Decision:
    with transaction() as session:
        return rollouts.advance(session, FLAG, ChangeContext(now, "alice"), expected_version=version, approval=approval)


def test_an_advance_is_stored_audited_and_announced_together(app: Flask, now: datetime) -> None:
    later = now + timedelta(days=7)
    with app.app_context():
        with read_only() as session:
            before = change_feed.revision(session)
        assert isinstance(advance(later, 1), Transition)
        with read_only() as session:
            found = rollouts.find(session, FLAG)
            assert (found.position, found.version, found.entered_at) == (Position(1, 0), 2, later)
            assert change_feed.revision(session) == before + 1
            entry = audit.latest(session, subject=f"rollout:{FLAG}")[0]
            assert (entry.actor, entry.action) == ("alice", "rollout.advance")
            assert entry.before is not None
            assert entry.after is not None
            assert (entry.before["phase"], entry.after["phase"]) == ("development", "beta")


def test_a_refused_change_leaves_no_trace(app: Flask, now: datetime) -> None:
    with app.app_context():
        with read_only() as session:
            before = change_feed.revision(session), len(audit.latest(session))
        refusal = advance(now, 1)
        assert isinstance(refusal, Refusal)
        assert "soak time of this step lasts until" in refusal.sentence
        with read_only() as session:
            assert (change_feed.revision(session), len(audit.latest(session))) == before


def test_a_plan_survives_storing_unchanged(app: Flask, now: datetime) -> None:
    with app.app_context(), read_only() as session:
        assert rollouts.find(session, FLAG).plan == default_plan(now)


def test_a_rollout_is_planned_once(app: Flask, now: datetime) -> None:
    with app.app_context(), transaction() as session:
        again = rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "Again."))
        assert isinstance(again, Refusal)
        assert again.reasons[0].code == "ROLLOUT_EXISTS"


def test_of_many_who_advance_at_once_exactly_one_succeeds(app: Flask, now: datetime) -> None:
    later, outcomes = now + timedelta(days=7), []
    barrier = threading.Barrier(8)

    def contend() -> None:
        with app.app_context():
            barrier.wait()
            outcomes.append(advance(later, 1))

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Transition) for outcome in outcomes) == 1
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(refused) == 7
    assert all("VERSION_CONFLICT" in {reason.code for reason in refusal.reasons} for refusal in refused)
    with app.app_context(), read_only() as session:
        assert rollouts.find(session, FLAG).version == 2
        assert audit.verify(session).intact


def test_a_second_cause_of_a_rollback_is_recorded_and_changes_nothing(app: Flask, now: datetime) -> None:
    with app.app_context():
        for cause in ("Double charges.", "Errors, too."):
            with transaction() as session:
                rollouts.roll_back(session, FLAG, ChangeContext(now, "guard", cause), attempt=1)
        with read_only() as session:
            found = rollouts.find(session, FLAG)
            assert (found.state, found.state_reason, found.version) == (RolloutState.ROLLED_BACK, "Double charges.", 2)
            causes = [entry.reason for entry in audit.latest(session) if entry.action == "rollout.roll_back"]
            assert causes == ["Errors, too.", "Double charges."]


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("in_all", [False, True])
def test_a_rollback_loses_no_race_to_an_advance_or_to_another_rollback(app: Flask, now: datetime, in_all: bool) -> None:
    outcomes: list[Decision] = []

    def roll_back() -> None:
        with app.app_context(), transaction() as session:
            outcomes.append(rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "Errors."), in_all=in_all))

    later = now + timedelta(days=7)
    thread = threading.Thread(target=roll_back)
    with app.app_context(), transaction() as session:
        if in_all:
            rollouts.roll_back(session, FLAG, ChangeContext(now, "guard", "Errors."))
        else:
            rollouts.advance(session, FLAG, ChangeContext(later, "alice"), expected_version=1)
        thread.start()
        wait_until_somebody_waits()
    thread.join()
    assert isinstance(outcomes[0], Transition)
    assert (outcomes[0].after.version, outcomes[0].after.latches_all) == (3, in_all)


@pytest.mark.parametrize("environment", ["production", "development", "staging"])
def test_a_rollback_reaches_the_environment_that_the_process_serves(
    app: Flask, now: datetime, environment: str
) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), environment=environment))
    with app.app_context(), transaction() as session:
        found = rollouts.find(session, FLAG)
        change = ChangeContext(now, "guard", "Errors.", evidence={"verdicts": []})
        decision = rollouts.answer_breach(session, FLAG, change, attempt=found.attempt, is_candidates=True)
    assert isinstance(decision, Transition)
    assert exposure(decision.after, environment).empty
    assert decision.after.latches_all is (environment != "production")


def test_an_approval_is_kept_with_who_gave_it(app: Flask, now: datetime) -> None:
    with app.app_context():
        rollouts.register_gate("served", lambda *_: GateResult("served", GateStatus.UNKNOWN, "3 of 100."))
        later = now + timedelta(days=7)
        assert isinstance(advance(later, 1), Refusal)
        assert isinstance(advance(later, 1, approval="The beta is small; seen by hand."), Transition)
        with read_only() as session:
            after = audit.latest(session)[0].after
            assert after is not None
            given = {"actor": "alice", "reason": "The beta is small; seen by hand."}
            assert after["evidence"]["approved_by"] == [given]


def test_rearming_asks_only_the_gates_that_guard_it(app: Flask, now: datetime) -> None:
    with app.app_context():
        rollouts.register_gate("served", lambda *_: GateResult("served", GateStatus.CLOSED, "Never."))
        with transaction() as session:
            rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "Drill."))
        later = now + timedelta(hours=1)
        with transaction() as session:
            decision = rollouts.rearm(session, FLAG, ChangeContext(later, "alice", "Drilled."), expected_version=2)
        assert isinstance(decision, Transition)
        assert decision.after.attempt == 2


def test_rearming_asks_the_calendar_of_the_lowest_step(app: Flask, now: datetime) -> None:
    closed = Calendar(
        freezes=(Freeze(now.replace(tzinfo=None), (now + timedelta(days=2)).replace(tzinfo=None), "Sales."),)
    )
    with app.app_context():
        with transaction() as session:
            found = rollouts.find(session, FLAG)
            first, *rest = found.plan.phases
            frozen = replace(found.plan, phases=(replace(first, gates=PhaseGates(calendar=closed)), *rest))
            edited = administration.edit(
                session, FLAG, frozen, ChangeContext(now, "alice", "Sales."), expected_version=1
            )
            rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "Drill."))
        assert isinstance(edited, Transition)
        for days, refused in ((1, True), (2, False)):
            with transaction() as session:
                change = ChangeContext(now + timedelta(days=days), "alice", "Drilled.")
                decision = rollouts.rearm(session, FLAG, change, expected_version=3)
            sentence = decision.sentence if isinstance(decision, Refusal) else ""
            assert ("Nothing moves from" in sentence) is refused


def test_an_unknown_flag_is_named(app: Flask) -> None:
    with app.app_context(), read_only() as session, pytest.raises(rollouts.UnknownRolloutError, match="ENABLE_CREDTIS"):
        rollouts.find(session, "ENABLE_CREDTIS_V2")
    with app.app_context(), read_only() as session:
        assert store.load(session, "ENABLE_CREDTIS_V2") is None
