"""A step that takes the flag from users: refused with their number, and audited when a person confirms it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.rollouts.losses import loss_by_advance
from flags.store import UserAttributes, upsert_users
from tests.flags.examples import CUTOVER, NOW

PRO = (Constraint("plan", Operator.IN, ("pro",)),)
FIRST = Phase("pro", "Customers on pro", "attributes", (100,), timedelta(0), constraints=PRO)
NARROWER = Phase("fewer", "Fewer on pro", "attributes", (10,), timedelta(0), constraints=PRO)
USERS = [UserAttributes(f"user-{number}", ("free", "pro")[number % 2]) for number in range(400)]
WITHIN_A_TENTH = 16
"""So many of the two hundred on pro have a bucket up to 10."""


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.app_context(), transaction() as session:
        upsert_users(session, USERS, now=NOW)
        yield session


def plan(session: Session, *, confirm_losing: bool) -> Decision:
    plan = Plan((FIRST, NARROWER), CUTOVER)
    return rollouts.plan(session, FLAG, plan, ChangeContext(NOW, "olga", "A plan."), confirm_losing=confirm_losing)


def advance(session: Session, *, confirm_losing: bool) -> Decision:
    return rollouts.advance(
        session,
        FLAG,
        ChangeContext(NOW + timedelta(days=1), "olga"),
        expected_version=1,
        approval="Seen.",
        confirm_losing=confirm_losing,
    )


def test_a_plan_that_takes_the_flag_from_users_needs_a_confirmation_that_is_audited(session: Session) -> None:
    refused = plan(session, confirm_losing=False)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["STEP_LOSES_USERS"]
    assert isinstance(plan(session, confirm_losing=True), Transition)
    (step,) = evidence(session)["steps"]
    assert step.endswith("Customers whose plan is pro go down from 100 % to 10 %.")


def test_the_step_is_refused_with_the_number_of_users_until_somebody_confirms_it(session: Session) -> None:
    rollouts.ADVANCE_GATES.get().clear()
    plan(session, confirm_losing=True)
    refused = advance(session, confirm_losing=False)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["STEP_LOSES_USERS"]
    losing = 200 - WITHIN_A_TENTH
    assert f"takes the flag from {losing} known users in production: Customers whose plan is pro go" in refused.sentence
    assert isinstance(advance(session, confirm_losing=True), Transition)
    assert evidence(session) == {
        "actor": "olga",
        "users": losing,
        "cohorts": ["Customers whose plan is pro go down from 100 % to 10 %."],
    }


def test_where_nobody_can_lose_nothing_is_counted(session: Session) -> None:
    plan = Plan((NARROWER, FIRST), CUTOVER)
    assert isinstance(rollouts.plan(session, FLAG, plan, ChangeContext(NOW, "olga", "A plan.")), Transition)
    assert loss_by_advance(session, rollouts.find(session, FLAG), NOW) is None


@pytest.mark.parametrize("in_all", [False, True])
def test_after_a_rollback_only_those_who_kept_the_flag_can_lose_it(session: Session, in_all: bool) -> None:
    guide = default_plan(CUTOVER)
    rollouts.plan(session, FLAG, guide, ChangeContext(NOW, "olga", "A plan."))
    rollouts.roll_back(session, FLAG, ChangeContext(NOW, "olga", "Errors."), in_all=in_all)
    first = replace(guide.phases[0], environments=("development",))
    later = Plan((first, *guide.phases[1:]), CUTOVER)
    edited = administration.edit(session, FLAG, later, ChangeContext(NOW, "olga", "Later."), expected_version=2)
    if in_all:
        assert isinstance(edited, Transition)
    else:
        assert isinstance(edited, Refusal)
        assert "The environment staging is no longer on as a whole." in edited.sentence


def evidence(session: Session) -> dict[str, Any]:
    after = audit.latest(session, subject=f"rollout:{FLAG}")[0].after
    assert after
    found: dict[str, Any] = after["evidence"]["confirmed_losing"]
    return found
