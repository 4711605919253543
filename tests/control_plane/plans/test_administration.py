"""Edits of stored plans on both databases: versions, audit, refusals, restores, previews with the directory's users."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phase_gates import Schedule
from control_plane.core.phases import Phase, Plan, Position, RolloutState
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.plans import administration
from control_plane.plans.previews import preview
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.rollouts import store
from flags.store import UserAttributes, upsert_users

FLAG = "SEARCH"
USERS = 200


def plan(now: datetime, *steps: int, name: str = "everyone", **changes: Any) -> Plan:
    phase = Phase(name, "Everyone", AudienceKind.EVERYONE, steps or (10, 50, 100), timedelta(0))
    return replace(Plan((phase,), now), **changes)


@pytest.fixture
def session(app: Flask, now: datetime) -> Iterator[Session]:
    """A rollout at 50 % of everyone, and a directory."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        with transaction() as session:
            upsert_users(session, [UserAttributes(f"u{number}", "pro", now) for number in range(USERS)], now=now)
            rollouts.plan(session, FLAG, plan(now), ChangeContext(now, "alice", "Planned."))
            rollouts.advance(session, FLAG, ChangeContext(now, "alice"), expected_version=1)
            yield session


def edit(session: Session, wanted: Plan, now: datetime, **options: Any) -> Decision:
    version = rollouts.find(session, FLAG).version
    given = {"expected_version": version} | options
    return administration.edit(session, FLAG, wanted, ChangeContext(now, "bob", "Better."), **given)


def test_an_edit_is_kept_as_a_version_with_who_when_and_why(session: Session, now: datetime) -> None:
    later = now + timedelta(hours=1)
    changed = edit(session, plan(now, owner="alice"), later)
    assert isinstance(changed, Transition)
    found = rollouts.find(session, FLAG)
    assert (found.plan.owner, found.plan_version, found.position) == ("alice", 2, Position(0, 1))
    versions = store.plan_versions(session, FLAG)
    assert [(each.number, each.actor, each.reason) for each in versions] == [
        (2, "bob", "Better."),
        (1, "alice", "Planned."),
    ]
    assert (versions[0].at, versions[0].plan.owner, versions[1].plan.owner) == (later, "alice", "")
    entry = audit.latest(session, subject=f"rollout:{FLAG}")[0]
    assert entry.action == "rollout.edit_plan"
    assert entry.after is not None
    assert "+owner: alice" in entry.after["evidence"]["diff"]


def test_the_same_plan_again_changes_nothing(session: Session, now: datetime) -> None:
    assert isinstance(edit(session, plan(now), now), Transition)
    found = rollouts.find(session, FLAG)
    assert (found.version, found.plan_version) == (2, 1)
    assert isinstance(edit(session, plan(now), now, expected_version=7), Refusal)


def test_whoever_saw_another_version_is_refused(session: Session, now: datetime) -> None:
    refused = edit(session, plan(now, owner="alice"), now, expected_version=1)
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "VERSION_CONFLICT"


def test_what_takes_the_flag_from_users_says_from_how_many_until_it_is_confirmed(
    session: Session, now: datetime
) -> None:
    smaller = plan(now, 10, 100)
    refused = edit(session, smaller, now)
    assert isinstance(refused, Refusal)
    (reason,) = refused.reasons
    assert reason.code == "STEP_LOSES_USERS"
    assert "Everyone goes down from 50 % to 10 %." in reason.sentence
    assert rollouts.find(session, FLAG).plan_version == 1
    assert isinstance(edit(session, smaller, now, confirm_losing=True), Transition)
    entry = audit.latest(session, subject=f"rollout:{FLAG}")[0]
    assert entry.after is not None
    confirmed = entry.after["evidence"]["confirmed_losing"]
    assert (confirmed["actor"], 0 < confirmed["users"] < USERS) == ("bob", True)
    assert rollouts.find(session, FLAG).percentage == 10


def test_what_would_let_users_in_without_an_advance_is_refused(session: Session, now: datetime) -> None:
    before = Phase("team", "Team", AudienceKind.NEW_SIGNUPS, (100,), timedelta(0))
    refused = edit(session, plan(now, phases=(before, *plan(now).phases)), now)
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "PLAN_GAINS_USERS"
    assert "production, New signups: from 50 % to 100 %." in refused.sentence
    assert rollouts.find(session, FLAG).plan == plan(now)


def test_an_edit_with_a_time_that_is_over_is_refused(session: Session, now: datetime) -> None:
    """The schedule's next look would make the move."""
    (phase,) = plan(now).phases
    advance = Schedule(((now + timedelta(hours=1)).replace(tzinfo=None),))
    refused = edit(session, plan(now, phases=(replace(phase, advance=advance),)), now + timedelta(hours=2))
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["PLAN_TIME_OVER"]
    assert rollouts.find(session, FLAG).plan == plan(now)


def test_a_plan_with_mistakes_is_refused_with_each(session: Session, now: datetime) -> None:
    refused = edit(session, plan(now, 50, 10, tags=("a", "a")), now)
    assert isinstance(refused, Refusal)
    assert {reason.code for reason in refused.reasons} == {"PLAN_INVALID"}
    assert "steps must ascend" in refused.sentence
    assert "tags are at most" in refused.sentence


def test_an_earlier_plan_is_restored_as_a_new_version(session: Session, now: datetime) -> None:
    edit(session, plan(now, owner="alice"), now)
    change = ChangeContext(now, "alice", "Back.")
    restored = administration.restore(session, FLAG, 1, change, expected_version=3)
    assert isinstance(restored, Transition)
    found = rollouts.find(session, FLAG)
    assert (found.plan, found.plan_version, found.version) == (plan(now), 3, 4)


def test_a_rolled_back_rollout_may_have_any_plan_and_stays_rolled_back(session: Session, now: datetime) -> None:
    rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "Errors."))
    assert isinstance(edit(session, plan(now, 1, 100), now), Transition)
    found = rollouts.find(session, FLAG)
    assert (found.state, found.attempt) == (RolloutState.ROLLED_BACK, 1)


def test_a_preview_counts_who_gains_and_who_loses_and_changes_nothing(session: Session, now: datetime) -> None:
    before = rollouts.find(session, FLAG)
    smaller = preview(session, FLAG, before, plan(now, 10), now)
    (lost,) = smaller.now
    assert (lost.environment, lost.users_gaining) == ("production", 0)
    assert 0 < lost.users_losing < USERS
    assert lost.losses
    (at_the_end,) = smaller.complete
    assert at_the_end.users_losing > lost.users_losing
    anew = preview(session, "OTHER", None, plan(now, 100), now)
    assert [(each.environment, each.users_gaining) for each in anew.now] == [("production", USERS)]
    assert rollouts.find(session, FLAG) == before
    reasons = administration.refusals(session, FLAG, plan(now, 10), ChangeContext(now, "bob", "x"))
    assert [reason.code for reason in reasons] == ["STEP_LOSES_USERS"]


@pytest.mark.parametrize("name", ["", "a b", "ä", "x/y", ".hidden", "x" * 101, "a\x00b"])
def test_a_flag_whose_name_cannot_be_carried_is_refused(session: Session, now: datetime, name: str) -> None:
    refused = rollouts.plan(session, name, plan(now), ChangeContext(now, "alice", "x"))
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "INVALID_FLAG_NAME"
