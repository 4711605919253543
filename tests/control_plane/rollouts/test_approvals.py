"""Approvals: a quorum of others, never oneself nor through one's own token, void once the plan or the step changes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.phase_gates import AdvanceMode, Approvals, ApproverRole, PhaseGates
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.plans import administration
from control_plane.platform.auth import accounts, audit, tokens
from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals, archive, move_job
from flags.administration.definitions import create_flag

FLAG = "SEARCH"
TWO = Approvals(2, (ApproverRole.OWNER, ApproverRole.APPROVER))


def plan(now: datetime, wanted: Approvals | None = TWO, **changes: Any) -> Plan:
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (10, 50, 100), timedelta(0))
    gates = PhaseGates(approvals=wanted)
    return Plan((replace(phase, gates=gates, **changes),), now)


@pytest.fixture
def session(app: Flask, now: datetime) -> Iterator[Session]:
    """A rollout that paula planned and that two others have to approve; ruth and tom made tokens."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        with transaction() as session:
            for name, maker in (("bot", "paula"), ("bot2", "token:bot"), ("rb", "ruth")):
                tokens.create_token(session, tokens.NewToken(name, "admin", environment="*"), now=now, actor=maker)
            rollouts.plan(session, FLAG, plan(now), ChangeContext(now, "paula", "Planned."))
            yield session


def approve(session: Session, actor: str, now: datetime, role: str = "owner", reason: str = "Read it.") -> None:
    found = rollouts.find(session, FLAG)
    change = ChangeContext(now, actor, reason)
    approvals.approve(session, found, change, role=role, expected_version=found.version)


def approve_plan(session: Session, actor: str, now: datetime, flag: str = FLAG) -> None:
    found = rollouts.find(session, flag)
    change = ChangeContext(now, actor, "Two of us were enough.")
    approvals.approve(
        session, found, change, role="owner", expected_version=found.version, subject=ApprovalSubject.PLAN
    )


def advance(session: Session, actor: str, now: datetime) -> Decision:
    version = rollouts.find(session, FLAG).version
    change = ChangeContext(now, actor)
    return rollouts.advance(session, FLAG, change, expected_version=version, approval="Sure.")


def test_it_takes_a_quorum_of_others(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    refused = advance(session, "paula", now)
    assert isinstance(refused, Refusal)
    assert "1 of 2 approvals (by ruth); 1 more is needed" in refused.sentence
    approve(session, "tom", now, "approver")
    assert isinstance(advance(session, "paula", now), Transition)
    kept = [entry.actor for entry in audit.latest(session) if entry.action == "rollout.approve"]
    assert kept == ["tom", "ruth"]


@pytest.mark.parametrize("loss", ["locked", "demoted"])
def test_whoever_loses_the_role_approves_nothing_any_more(session: Session, now: datetime, loss: str) -> None:
    ruth = accounts.create_person(session, "ruth", password="a long one for tests 1", role="owner", now=now)
    approve(session, "token:rb", now)
    approve(session, "tom", now)
    if loss == "locked":
        accounts.disable_person(session, ruth.id, now=now, actor="alice")
    else:
        accounts.change_role(session, ruth.id, role="operator", now=now, actor="alice")
    refused = advance(session, "paula", now)
    assert isinstance(refused, Refusal)
    assert "1 of 2 approvals (by tom)" in refused.sentence


def test_a_token_that_was_revoked_approves_nothing_any_more(session: Session, now: datetime) -> None:
    approve(session, "token:rb", now)
    approve(session, "tom", now)
    stolen = next(each for each in tokens.list_tokens(session) if each.name == "rb")
    tokens.revoke_token(session, stolen.id, now=now, actor="alice")
    assert isinstance(advance(session, "paula", now), Refusal)
    approve(session, "ruth", now)
    assert isinstance(advance(session, "paula", now), Transition)


def test_whoever_asks_for_the_step_does_not_approve_it(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    approve(session, "tom", now)
    assert isinstance(advance(session, "ruth", now), Refusal)
    assert isinstance(advance(session, "token:rb", now), Refusal)
    assert isinstance(advance(session, "zoe", now), Transition)


@pytest.mark.parametrize("actor", ["paula", "token:bot", "token:bot2"])
def test_nobody_approves_a_plan_of_their_own_nor_through_a_token(session: Session, now: datetime, actor: str) -> None:
    with pytest.raises(Problem, match="somebody else approves"):
        approve(session, actor, now)


def test_a_person_and_their_token_are_one(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    approve(session, "token:rb", now)
    approve(session, "ruth", now)
    assert isinstance(advance(session, "paula", now), Refusal)


def test_a_role_that_the_plan_does_not_name_approves_nothing(session: Session, now: datetime) -> None:
    with pytest.raises(Problem, match="approved by the role owner or approver"):
        approve(session, "olga", now, "operator")
    with pytest.raises(Problem, match="a reason is required"):
        approve(session, "ruth", now, reason=" ")


def test_approvals_are_void_once_the_step_or_the_plan_changes(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    approve(session, "tom", now)
    later = now + timedelta(minutes=1)
    assert isinstance(advance(session, "paula", later), Transition)
    assert approvals.given(session, rollouts.find(session, FLAG)) == []
    approve(session, "ruth", later)
    approve(session, "tom", later)
    edited = replace(plan(now), owner="paula")
    change = ChangeContext(later, "paula", "An owner.")
    assert isinstance(administration.edit(session, FLAG, edited, change, expected_version=2), Transition)
    assert isinstance(advance(session, "paula", later), Refusal)


def test_a_hold_that_ends_leaves_them_in_force(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    approve(session, "tom", now)
    rollouts.hold(session, FLAG, ChangeContext(now, "guard", "Blind."), by_guard=True)
    rollouts.resume(session, FLAG, ChangeContext(now, "guard", "Sees."), by_guard=True)
    assert isinstance(advance(session, "paula", now), Transition)


@pytest.mark.parametrize(
    "weaker",
    [
        {"wanted": None},
        {"wanted": Approvals(1, TWO.roles)},
        {"wanted": Approvals(2, tuple(ApproverRole))},
        {"wanted": None, "name": "all"},
        {"wanted": None, "steps": (10, 100)},
    ],
)
def test_an_edit_that_asks_for_fewer_takes_as_many(session: Session, now: datetime, weaker: dict[str, Any]) -> None:
    """Or whoever may edit the plan could do without the others."""
    wanted = plan(now, **weaker)
    change = ChangeContext(now, "zoe", "Faster.")
    refused = administration.edit(session, FLAG, wanted, change, expected_version=1)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["APPROVAL_REQUIRED"]
    for name in ("ruth", "tom"):
        approve(session, name, now)
    step_alone = administration.edit(session, FLAG, wanted, change, expected_version=1)
    assert isinstance(step_alone, Refusal), "whoever approves a step does not give up the next ones"
    for name in ("ruth", "tom"):
        approve_plan(session, name, now)
    assert isinstance(administration.edit(session, FLAG, wanted, change, expected_version=1), Transition)


def test_whoever_approves_a_change_of_the_plan_approves_no_step(session: Session, now: datetime) -> None:
    for name in ("ruth", "tom"):
        approve_plan(session, name, now)
    assert isinstance(advance(session, "paula", now), Refusal)
    assert [entry.action for entry in audit.latest(session)][:2] == ["rollout.approve_plan"] * 2


def test_an_approval_is_taken_back_by_whoever_gave_it(session: Session, now: datetime) -> None:
    approve(session, "ruth", now)
    approve(session, "tom", now)
    found = rollouts.find(session, FLAG)
    with pytest.raises(Problem, match="zoe approves nothing here"):
        approvals.withdraw(session, found, ChangeContext(now, "zoe", "Not mine."))
    with pytest.raises(Problem, match="a reason is required"):
        approvals.withdraw(session, found, ChangeContext(now, "tom", " "))
    left = approvals.withdraw(session, found, ChangeContext(now, "tom", "I saw another screen."))
    assert [each.actor for each in left] == ["ruth"]
    assert isinstance(advance(session, "paula", now), Refusal)
    assert audit.latest(session)[0].action == "rollout.withdraw_approval"
    approve(session, "tom", now)
    assert isinstance(advance(session, "paula", now), Transition)


def test_one_that_is_off_has_no_step_to_approve(session: Session, now: datetime) -> None:
    rollouts.roll_back(session, FLAG, ChangeContext(now, "paula", "Wrong."))
    with pytest.raises(Problem, match="SEARCH has no next step; what can be approved is a change of its plan"):
        approve(session, "ruth", now)
    approve_plan(session, "ruth", now)


def test_approvals_of_a_plan_are_void_once_the_plan_changes(session: Session, now: datetime) -> None:
    for name in ("ruth", "tom"):
        approve_plan(session, name, now)
    change = ChangeContext(now, "zoe", "An owner.")
    edited = administration.edit(session, FLAG, replace(plan(now), owner="zoe"), change, expected_version=1)
    assert isinstance(edited, Transition)
    weaker = administration.edit(session, FLAG, plan(now, wanted=None), change, expected_version=2)
    assert isinstance(weaker, Refusal)


def test_the_schedule_waits_for_them_as_well(session: Session, now: datetime) -> None:
    automatic = plan(now, advance=AdvanceMode.WHEN_GATES_OPEN)
    change = ChangeContext(now, "paula", "By itself.")
    assert isinstance(administration.edit(session, FLAG, automatic, change, expected_version=1), Transition)
    assert move_job.move(session, FLAG, now) is None
    approve(session, "ruth", now)
    approve(session, "tom", now)
    assert isinstance(move_job.move(session, FLAG, now), Transition)


def test_a_phase_that_asks_for_none_takes_none(session: Session, now: datetime) -> None:
    rollouts.plan(session, "OTHER", plan(now, None), ChangeContext(now, "paula", "x"))
    with pytest.raises(Problem, match="asks for no approval"):
        approvals.approve(
            session, rollouts.find(session, "OTHER"), ChangeContext(now, "ruth", "x"), role="owner", expected_version=1
        )


def test_deleting_one_that_was_rolled_back_takes_its_approvals_and_keeps_its_cool_down(session: Session) -> None:
    now = datetime.now(UTC)

    def deleted(at: datetime) -> Decision:
        version = rollouts.find(session, FLAG).version
        return archive.delete(session, FLAG, ChangeContext(at, "paula", "Anew."), expected_version=version)

    def planned(at: datetime) -> Decision:
        return rollouts.plan(session, FLAG, plan(at, None), ChangeContext(at, "paula", "Anew."))

    rollouts.roll_back(session, FLAG, ChangeContext(now, "guard", "It fails."))
    version = rollouts.find(session, FLAG).version
    archive.archive(session, FLAG, ChangeContext(now, "paula", "Anew."), expected_version=version)
    approve_plan(session, "ruth", now)
    refused = deleted(now)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["APPROVAL_REQUIRED"]
    approve_plan(session, "tom", now)
    assert isinstance(deleted(now), Transition)
    early = planned(now + timedelta(minutes=29))
    assert isinstance(early, Refusal)
    assert [reason.code for reason in early.reasons] == ["COOL_DOWN"]
    with pytest.raises(Problem, match="its cool-down lasts until"):
        create_flag(session, FLAG, {"production": True}, ChangeContext(now, "paula", "Anew."))
    assert isinstance(planned(now + timedelta(days=7)), Transition)
