"""Approvals by accounts that somebody else gave access to of late: they count as that person."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phase_gates import AdvanceMode, Approvals, ApproverRole, PhaseGates
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.platform.auth import account_store, accounts, second_factor, tokens
from control_plane.platform.auth.account_store import SecondFactor
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Grant, Role
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS
from control_plane.rollouts import approvals, move_job
from tests.people import PASSWORD_HASH

FLAG = "SEARCH"
WEEK = timedelta(days=7)
PEOPLE = ("ruth", "tom", "zoe", "paula")
AccessGift = Callable[[Session, int, datetime, str], object]


def planned(quorum: int, **changes: Any) -> Plan:
    gates = PhaseGates(approvals=Approvals(quorum, (ApproverRole.OWNER,)))
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (10, 100), timedelta(0), gates=gates, **changes)
    return Plan((phase,), datetime(2026, 1, 1).astimezone())


@pytest.fixture
def session(app: Flask, now: datetime) -> Iterator[Session]:
    """Owners who have been there for long, and a rollout that paula planned and one other has to approve."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        SETTINGS.set(app, replace(SETTINGS.get(app), approval_access_days=WEEK.days))
        with transaction() as session:
            for name in PEOPLE:
                account_store.add_person(
                    session, username=name, password_hash=PASSWORD_HASH, role=Role.OWNER, now=now - 10 * WEEK
                )
            rollouts.plan(session, FLAG, planned(1), ChangeContext(now, "paula", "Planned."))
            yield session


def person_id(session: Session, name: str) -> int:
    return next(each.id for each in accounts.list_people(session) if each.username == name)


def added(session: Session, name: str, now: datetime, actor: str, role: Role = Role.OWNER) -> None:
    accounts.create_person(session, name, password=None, role=role, now=now, actor=actor)


def approve(session: Session, actor: str, now: datetime) -> None:
    found = rollouts.find(session, FLAG)
    change = ChangeContext(now, actor, "Read it.")
    approvals.approve(session, found, change, role="owner", expected_version=found.version)


def advance(session: Session, actor: str, now: datetime) -> Decision:
    version = rollouts.find(session, FLAG).version
    return rollouts.advance(session, FLAG, ChangeContext(now, actor), expected_version=version, approval="Sure.")


def is_refused(session: Session, asker: str, now: datetime, sentence: str) -> bool:
    decision = advance(session, asker, now)
    return isinstance(decision, Refusal) and f"{sentence} access, or changed it" in decision.sentence


def role(session: Session, person: int, now: datetime, actor: str) -> object:
    accounts.change_role(session, person, role=Role.VIEWER, now=now, actor="system")
    return accounts.change_role(session, person, role=Role.OWNER, now=now, actor=actor)


def grants(session: Session, person: int, now: datetime, actor: str) -> None:
    accounts.change_grants(session, person, grants=[Grant(Role.OWNER, FLAG)], now=now, actor=actor)


def password(session: Session, person: int, now: datetime, actor: str) -> None:
    accounts.change_password(session, person, password="a long one for tests 2", now=now, actor=actor)


def unlocked(session: Session, person: int, now: datetime, actor: str) -> None:
    accounts.disable_person(session, person, now=now, actor="system")
    accounts.enable_person(session, person, now=now, actor=actor)


def no_second_factor(session: Session, person: int, now: datetime, actor: str) -> None:
    account_store.set_second_factor(session, person, SecondFactor("sealed", 1, ()))
    second_factor.reset(session, accounts.find_person(session, person), now=now, actor=actor)


def identity(session: Session, person: int, now: datetime, actor: str) -> None:
    accounts.link_identity(session, accounts.find_person(session, person), "issuer 1", now=now, actor=actor)


EVERY_WAY = pytest.mark.parametrize("give", [role, grants, password, unlocked, no_second_factor, identity])


@EVERY_WAY
def test_whoever_gave_an_account_access_does_not_approve_through_it(
    session: Session, now: datetime, give: AccessGift
) -> None:
    give(session, person_id(session, "tom"), now, "zoe")
    approve(session, "tom", now)
    assert is_refused(session, "zoe", now, "The approval of tom does not count: zoe gave tom")
    assert isinstance(advance(session, "ruth", now), Transition)


def test_an_account_that_is_made_for_it_approves_nothing_of_its_makers(session: Session, now: datetime) -> None:
    added(session, "sock", now, "zoe")
    approve(session, "sock", now)
    assert is_refused(session, "zoe", now, "The approval of sock does not count: zoe gave sock")


def test_unless_it_is_asked_for_an_account_is_a_person_whoever_made_it(
    app: Flask, session: Session, now: datetime
) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), approval_access_days=0))
    added(session, "bob", now, "zoe")
    approve(session, "bob", now)
    assert isinstance(advance(session, "zoe", now), Transition)


def test_nor_one_that_a_program_of_theirs_made(session: Session, now: datetime) -> None:
    """SCIM adds people with a token that they made."""
    tokens.create_token(
        session, tokens.NewToken("directory", "admin", environment="*"), now=now - 10 * WEEK, actor="zoe"
    )
    added(session, "sock", now, "token:directory")
    approve(session, "sock", now)
    assert is_refused(session, "zoe", now, "The approval of sock does not count: zoe gave sock")


def test_nor_one_that_was_made_by_an_account_they_made(session: Session, now: datetime) -> None:
    added(session, "first", now, "zoe", Role.ADMIN)
    added(session, "second", now, "first")
    tokens.create_token(session, tokens.NewToken("bot", "admin", environment="*"), now=now, actor="second")
    approve(session, "token:bot", now)
    assert is_refused(session, "zoe", now, "The approval of token:bot does not count: zoe gave token:bot")


def test_nor_does_the_maker_approve_what_such_an_account_asks_for(session: Session, now: datetime) -> None:
    added(session, "sock", now, "zoe")
    approve(session, "zoe", now)
    assert is_refused(session, "sock", now, "The approval of zoe does not count: zoe gave sock")


def test_nor_is_it_taken_from_an_account_of_whoever_planned(session: Session, now: datetime) -> None:
    added(session, "sock", now, "paula")
    with pytest.raises(Problem, match=r"paula made this plan\. The approval of sock does not count: paula gave sock"):
        approve(session, "sock", now)


def test_two_accounts_of_one_maker_are_one_approval(session: Session, now: datetime) -> None:
    """Also where nobody asks for the step, since it moves by itself."""
    rollouts.plan(
        session, "OTHER", planned(2, advance=AdvanceMode.WHEN_GATES_OPEN), ChangeContext(now, "paula", "Planned.")
    )
    for name in ("sock1", "sock2"):
        added(session, name, now, "zoe")
    for name, at in (("sock1", now), ("sock2", now), ("zoe", now)):
        found = rollouts.find(session, "OTHER")
        change = ChangeContext(at, name, "Read it.")
        approvals.approve(session, found, change, role="owner", expected_version=found.version)
    assert move_job.move(session, "OTHER", now) is None
    change = ChangeContext(now, "ruth", "Read it.")
    approvals.approve(session, rollouts.find(session, "OTHER"), change, role="owner", expected_version=1)
    assert isinstance(move_job.move(session, "OTHER", now), Transition)


@pytest.mark.parametrize("actor", ["sock", "system", "identity-provider"])
def test_what_people_change_themselves_and_what_groups_give_is_nobody_elses(
    session: Session, now: datetime, actor: str
) -> None:
    added(session, "sock", now, "system")
    password(session, person_id(session, "sock"), now, actor)
    approve(session, "sock", now)
    assert isinstance(advance(session, "zoe", now), Transition)


def test_those_whom_the_host_added_are_several(session: Session, now: datetime) -> None:
    for name in ("one", "two"):
        added(session, name, now, "console:root")
    approve(session, "one", now)
    assert isinstance(advance(session, "two", now), Transition)


def test_an_account_counts_a_week_later_but_not_in_the_same_step(session: Session, now: datetime) -> None:
    added(session, "sock", now, "zoe")
    later = now + WEEK + timedelta(seconds=1)
    approve(session, "sock", later)
    assert is_refused(session, "zoe", later, "zoe gave sock")
    assert isinstance(advance(session, "ruth", later), Transition)
    approve(session, "sock", later)
    assert isinstance(advance(session, "zoe", later), Transition)


def test_an_approval_stays_what_it_was_when_a_password_is_renewed_afterwards(session: Session, now: datetime) -> None:
    approve(session, "tom", now)
    password(session, person_id(session, "tom"), now + timedelta(seconds=1), "zoe")
    assert isinstance(advance(session, "zoe", now + timedelta(seconds=2)), Transition)
