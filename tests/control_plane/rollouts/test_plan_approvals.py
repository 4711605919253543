"""An edit leads nowhere by a way that takes fewer approvals than the plan asked for before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.phase_gates import Approvals, ApproverRole, PhaseGates
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Refusal, Transition
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.rollouts import approvals

TWO = Approvals(2, (ApproverRole.OWNER, ApproverRole.APPROVER))
DEVELOPMENT = Phase("dev", "Dev", AudienceKind.ENVIRONMENTS, (100,), timedelta(0), ("development",))
BETA = Phase("beta", "Beta", AudienceKind.ALLOWLIST, (100,), timedelta(0))
ALL = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (10, 100), timedelta(0))


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.app_context(), transaction() as session:
        yield session


def with_approvals(phase: Phase) -> Phase:
    return replace(phase, gates=PhaseGates(approvals=TWO))


NEW = Phase("new", "New", AudienceKind.NEW_SIGNUPS, (10, 100), timedelta(0))
QA = Phase("qa", "QA", AudienceKind.ENVIRONMENTS, (100,), timedelta(0), ("qa",))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((DEVELOPMENT, with_approvals(BETA), ALL), (DEVELOPMENT, ALL)),
        ((DEVELOPMENT, with_approvals(BETA), NEW), (DEVELOPMENT, NEW, with_approvals(BETA))),
        ((DEVELOPMENT, with_approvals(BETA), ALL), (with_approvals(QA), DEVELOPMENT, ALL)),
        ((DEVELOPMENT, with_approvals(ALL)), (DEVELOPMENT, with_approvals(replace(ALL, steps=(100,))))),
    ],
    ids=["left out", "put behind", "put where nobody passes any more", "one step instead of two"],
)
def test_an_edit_opens_nothing_by_a_way_that_takes_fewer(
    session: Session, now: datetime, before: tuple[Phase, ...], after: tuple[Phase, ...]
) -> None:
    """A phase's approvals hold for the phases behind it too: another order would lead around them."""
    change = ChangeContext(now, "paula", "Planned.")
    rollouts.plan(session, "OTHER", Plan(before, now), change)
    edited = administration.edit(session, "OTHER", Plan(after, now), change, expected_version=1, confirm_losing=True)
    assert isinstance(edited, Refusal)
    assert [reason.code for reason in edited.reasons] == ["APPROVAL_REQUIRED"]


def test_an_earlier_cut_over_opens_nobody_by_a_way_that_takes_fewer(session: Session, now: datetime) -> None:
    change = ChangeContext(now, "paula", "Planned.")
    phases = (DEVELOPMENT, replace(NEW, steps=(100,)), with_approvals(BETA), ALL)
    rollouts.plan(session, "OTHER", Plan(phases, now), change)
    edited = administration.edit(session, "OTHER", Plan(phases, now - timedelta(days=9999)), change, expected_version=1)
    assert isinstance(edited, Refusal)
    assert [reason.code for reason in edited.reasons] == ["APPROVAL_REQUIRED"]


def test_an_edit_while_it_is_off_opens_nothing_at_the_first_step_of_the_next_attempt(
    session: Session, now: datetime
) -> None:
    change = ChangeContext(now, "paula", "Planned.")
    rollouts.plan(session, "OTHER", Plan((DEVELOPMENT, with_approvals(BETA), with_approvals(ALL)), now), change)
    rollouts.roll_back(session, "OTHER", change, in_all=True)
    edited = administration.edit(session, "OTHER", Plan((with_approvals(ALL),), now), change, expected_version=2)
    assert isinstance(edited, Refusal)
    assert [reason.code for reason in edited.reasons] == ["APPROVAL_REQUIRED"]


@pytest.mark.parametrize(
    "after",
    [
        (with_approvals(DEVELOPMENT), with_approvals(BETA), ALL),
        (DEVELOPMENT, replace(with_approvals(BETA), soak=timedelta(days=1)), ALL),
        (DEVELOPMENT, with_approvals(BETA)),
        (DEVELOPMENT, with_approvals(BETA), ALL, replace(DEVELOPMENT, name="qa", environments=("development", "qa"))),
    ],
)
def test_an_edit_that_takes_as_many_is_free(session: Session, now: datetime, after: tuple[Phase, ...]) -> None:
    change = ChangeContext(now, "paula", "Planned.")
    rollouts.plan(session, "OTHER", Plan((DEVELOPMENT, with_approvals(BETA), ALL), now), change)
    edited = administration.edit(session, "OTHER", Plan(after, now), change, expected_version=1, confirm_losing=True)
    wanted = "qa" in [phase.name for phase in after]
    assert isinstance(edited, Refusal if wanted else Transition), edited


@pytest.mark.parametrize(
    "first", [(DEVELOPMENT,), (DEVELOPMENT, BETA)], ids=["the phase goes", "the phase asks nobody"]
)
def test_two_edits_do_not_lead_where_one_may_not(session: Session, now: datetime, first: tuple[Phase, ...]) -> None:
    """Once no phase asks any more, nobody would be asked about what comes after."""
    change = ChangeContext(now, "paula", "Planned.")
    rollouts.plan(session, "OTHER", Plan((DEVELOPMENT, with_approvals(BETA), ALL), now), change)
    edited = administration.edit(session, "OTHER", Plan(first, now), change, expected_version=1, confirm_losing=True)
    assert isinstance(edited, Refusal)
    assert [reason.code for reason in edited.reasons] == ["APPROVAL_REQUIRED"]


def test_of_two_quorums_the_larger_one_stays(session: Session, now: datetime) -> None:
    change = ChangeContext(now, "paula", "Planned.")
    one = replace(BETA, gates=PhaseGates(approvals=Approvals(1, TWO.roles)))
    rollouts.plan(session, "OTHER", Plan((DEVELOPMENT, one, with_approvals(ALL)), now), change)
    edited = administration.edit(session, "OTHER", Plan((DEVELOPMENT, one), now), change, expected_version=1)
    assert isinstance(edited, Refusal)


def approve_plan(session: Session, actor: str, at: datetime) -> None:
    found = rollouts.find(session, "OTHER")
    change = ChangeContext(at, actor, "Two of us were enough.")
    subject = ApprovalSubject.PLAN
    approvals.approve(session, found, change, role="owner", expected_version=found.version, subject=subject)


def test_approvals_of_a_change_are_for_one_change(session: Session, now: datetime) -> None:
    """The rollout of an environment that takes over without approvals is that change."""
    change = ChangeContext(now, "zoe", "Staging first.")
    everywhere = replace(with_approvals(DEVELOPMENT), environments=("development", "staging"))
    rollouts.plan(session, "OTHER", Plan((everywhere, ALL), now), ChangeContext(now, "paula", "Planned."))
    for name in ("ruth", "tom"):
        approve_plan(session, name, now)
    taken = Plan((replace(ALL, name="staging"),), now, environment="staging")
    assert isinstance(rollouts.plan(session, "OTHER@staging", taken, change, confirm_losing=True), Transition)
    version = rollouts.find(session, "OTHER").version
    weaker = Plan((replace(everywhere, gates=PhaseGates()), ALL), now)
    assert isinstance(administration.edit(session, "OTHER", weaker, change, expected_version=version), Refusal)


def test_what_was_approved_before_a_rollback_is_no_approval_after_it(session: Session, now: datetime) -> None:
    change = ChangeContext(now, "zoe", "Faster.")
    rollouts.plan(session, "OTHER", Plan((with_approvals(ALL),), now), ChangeContext(now, "paula", "Planned."))
    for name in ("ruth", "tom"):
        approve_plan(session, name, now)
    later = now + timedelta(minutes=1)
    rollouts.roll_back(session, "OTHER", ChangeContext(later, "guard", "It fails."))
    edited = administration.edit(session, "OTHER", Plan((ALL,), now), change, expected_version=2)
    assert isinstance(edited, Refusal)
    for name in ("ruth", "tom"):
        approve_plan(session, name, later)
    assert isinstance(administration.edit(session, "OTHER", Plan((ALL,), now), change, expected_version=2), Transition)


def test_whoever_has_another_role_by_now_approves_anew(session: Session, now: datetime) -> None:
    roles = (ApproverRole.APPROVER,)
    gates = PhaseGates(approvals=Approvals(1, (ApproverRole.OWNER, *roles)))
    rollouts.plan(session, "OTHER", Plan((replace(ALL, gates=gates),), now), ChangeContext(now, "paula", "Planned."))
    found, change = rollouts.find(session, "OTHER"), ChangeContext(now, "ann", "Read it.")
    for role in ("owner", "approver", "approver"):
        given = approvals.approve(session, found, change, role=role, expected_version=found.version)
        assert [each.role for each in given] == [role]
    entries = [entry for entry in audit.latest(session) if entry.action == "rollout.approve"]
    assert len(entries) == 2, "nobody approves twice in one role"


@pytest.mark.parametrize(
    ("of_beta", "voters"),
    [
        (TWO, {"ann": ApproverRole.APPROVER, "ben": ApproverRole.APPROVER}),
        (Approvals(1, (ApproverRole.OPERATOR,)), {"olga": ApproverRole.OPERATOR}),
    ],
)
def test_the_approvers_of_one_phase_waive_nobody_elses_approval(
    session: Session, now: datetime, of_beta: Approvals, voters: dict[str, ApproverRole]
) -> None:
    change = ChangeContext(now, "paula", "Planned.")
    asking = replace(BETA, gates=PhaseGates(approvals=of_beta))
    owners = replace(ALL, gates=PhaseGates(approvals=Approvals(1, (ApproverRole.OWNER,))))
    rollouts.plan(session, "OTHER", Plan((asking, owners), now), change)

    def approve(who: str, role: ApproverRole) -> None:
        found = rollouts.find(session, "OTHER")
        said = ChangeContext(now, who, "Fewer will do.")
        approvals.approve(session, found, said, role=role, expected_version=found.version, subject=ApprovalSubject.PLAN)

    for who, role in voters.items():
        approve(who, role)
    without = Plan((asking, ALL), now)
    refused = administration.edit(session, "OTHER", without, change, expected_version=1)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["APPROVAL_REQUIRED"]
    approve("oscar", ApproverRole.OWNER)
    assert isinstance(administration.edit(session, "OTHER", without, change, expected_version=1), Transition)


def test_an_edit_of_another_version_is_refused_before_anything_is_proved(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proofs about a large plan take a while, in which nobody else can write to SQLite."""
    change = ChangeContext(now, "paula", "Planned.")
    rollouts.plan(session, "OTHER", Plan((BETA, ALL), now), change)
    monkeypatch.delattr(administration, "propose")
    refused = administration.edit(session, "OTHER", Plan((ALL,), now), change, expected_version=7)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["VERSION_CONFLICT"]
