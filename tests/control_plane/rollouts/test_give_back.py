"""The end of a rollout of one environment, on both databases: given back to the flag's own, or over with it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.audiences.exposure import Exposure
from control_plane.change_context import ChangeContext
from control_plane.core.calendars import Calendar, Freeze
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import Approvals, PhaseGates
from control_plane.core.phases import Plan
from control_plane.core.transitions import RETURN_GAINS_USERS, Transition
from control_plane.plans import administration
from control_plane.platform.db.database import read_only
from control_plane.rollouts import archive, store
from tests.control_plane.rollouts.rings import FLAG, STAGING, codes, do, find, has, made, phase, plan_of, served

pytestmark = pytest.mark.usefixtures("ringed")

CANARY = phase("environments", 100, named=("canary",))


def test_given_back_it_takes_the_flag_from_nobody_unconfirmed(now: datetime, change: ChangeContext) -> None:
    without = Plan((phase("environments", 100, named=("development",)), phase("everyone", 100)), now)
    do(administration.edit, FLAG, without, change, expected_version=1, confirm_losing=True)
    made(STAGING, now, change, 100)
    refused = do(archive.delete, STAGING, change, expected_version=1)
    assert codes(refused) == {"STEP_LOSES_USERS"}
    assert isinstance(do(archive.delete, STAGING, change, expected_version=1, confirm_losing=True), Transition)
    assert served("staging").empty


def test_given_back_it_gives_the_flag_to_nobody_unconfirmed(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 40, 100)
    assert codes(do(archive.delete, STAGING, change, expected_version=1)) == {RETURN_GAINS_USERS}
    assert isinstance(do(archive.delete, STAGING, change, expected_version=1, confirm_gaining=True), Transition)
    assert served("staging") == Exposure(environment=True)
    assert made(STAGING, now, change, 100).version == 3, "an old form changes nothing of the next one of that name"


def test_giving_back_is_no_way_around_a_cool_down_or_approvals(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 40, 100, gates=PhaseGates(approvals=Approvals(quorum=1)))
    do(rollouts.roll_back, STAGING, change)
    decision = do(archive.delete, STAGING, change, expected_version=2, confirm_gaining=True)
    assert codes(decision) == {"COOL_DOWN", "APPROVAL_REQUIRED"}
    later = replace(change, now=now + timedelta(days=1))
    decision = do(archive.delete, STAGING, later, expected_version=2, confirm_gaining=True)
    assert codes(decision) == {"APPROVAL_REQUIRED"}


def test_giving_back_to_a_plan_that_asks_nobody_takes_the_approvals_that_are_given_up(
    now: datetime, change: ChangeContext
) -> None:
    """Planned anew, it would ask nobody."""
    without = Plan((phase("environments", 100, named=("development",)), phase("everyone", 100)), now)
    do(administration.edit, FLAG, without, change, expected_version=1, confirm_losing=True)
    made(STAGING, now, change, 10, 100, gates=PhaseGates(approvals=Approvals(quorum=2)))
    decision = do(archive.delete, STAGING, change, expected_version=1, confirm_losing=True)
    assert codes(decision) == {"APPROVAL_REQUIRED"}


def test_the_end_of_a_flag_takes_the_approvals_of_its_environments(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 10, 100, gates=PhaseGates(approvals=Approvals(quorum=2)))
    do(rollouts.roll_back, FLAG, change, in_all=True)
    do(archive.archive, FLAG, change, expected_version=find(FLAG).version, confirm_losing=True)
    decision = do(archive.delete, FLAG, change, expected_version=find(FLAG).version)
    assert codes(decision) == {"APPROVAL_REQUIRED"}


def test_beginning_one_is_no_way_around_the_approvals_of_the_flags_plan(now: datetime, change: ChangeContext) -> None:
    asking = Plan(
        (phase("environments", 100, gates=PhaseGates(approvals=Approvals(quorum=2)), named=("staging",)),), now
    )
    do(rollouts.plan, "ASKING", asking, change)
    assert codes(do(rollouts.plan, "ASKING@staging", plan_of("staging", now, 100), change)) >= {"APPROVAL_REQUIRED"}


def test_the_flags_end_is_that_of_its_environments_too(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 100)
    do(rollouts.roll_back, FLAG, change)
    for use_case in (archive.archive, archive.revive):
        assert codes(do(use_case, STAGING, change, expected_version=1)) >= {"NOT_OF_ONE_ENVIRONMENT"}
    version = find(FLAG).version
    assert codes(do(archive.archive, FLAG, change, expected_version=version)) == {"STEP_LOSES_USERS"}
    do(archive.archive, FLAG, change, expected_version=version, confirm_losing=True)
    assert find(STAGING).archived
    assert not has("staging", now)
    assert codes(do(archive.delete, STAGING, change, expected_version=2)) >= {"ARCHIVED"}
    do(archive.revive, FLAG, change, expected_version=version + 1)
    assert (find(STAGING).archived, has("staging", now)) == (False, False)
    do(archive.archive, FLAG, change, expected_version=version + 2)
    assert isinstance(do(archive.delete, FLAG, change, expected_version=version + 3), Transition)
    with read_only() as session:
        assert store.of_single_environments(session, FLAG) == []


def test_a_return_that_lets_users_in_waits_for_the_end_of_a_freeze(now: datetime, change: ChangeContext) -> None:
    local = now.replace(tzinfo=None)
    freeze = Calendar(freezes=(Freeze(local - timedelta(hours=1), local + timedelta(hours=1)),))
    frozen = phase("environments", 100, gates=PhaseGates(calendar=freeze), named=("staging",))
    plan = Plan((frozen, phase("everyone", 100)), now)
    do(administration.edit, FLAG, plan, change, expected_version=1, confirm_losing=True)
    made(STAGING, now, change, 40, 100)
    returned = {"expected_version": 1, "confirm_gaining": True}
    assert codes(do(archive.delete, STAGING, change, **returned)) == {"GATE_CLOSED"}
    later = replace(change, now=now + timedelta(hours=1))
    assert isinstance(do(archive.delete, STAGING, later, **returned), Transition)


@pytest.mark.parametrize("name", [FLAG, STAGING])
def test_what_keeps_a_new_attempt_waiting_is_not_escaped_by_deletion(
    app: Flask, now: datetime, change: ChangeContext, name: str
) -> None:
    """After the cool-down a plan under the same name is a new attempt."""
    made(STAGING, now, change, 100)
    do(rollouts.roll_back, FLAG, change, in_all=True)
    later = replace(change, now=now + timedelta(days=8))
    status = GateStatus.CLOSED
    rollouts.REARM_GATES.set(app, {"firing": lambda *_: GateResult("firing", status, "It fires still.")})
    if name == FLAG:
        do(archive.archive, FLAG, change, expected_version=find(FLAG).version)
        do(archive.delete, FLAG, change, expected_version=find(FLAG).version)
    else:
        do(archive.delete, STAGING, later, expected_version=find(STAGING).version)
        status = GateStatus.OPEN
        do(rollouts.rearm, FLAG, later, expected_version=find(FLAG).version)
        status = GateStatus.CLOSED
    plan = plan_of("production" if name == FLAG else "staging", now, 100)
    assert codes(do(rollouts.plan, name, plan, later, confirm_losing=True)) == {"GATE_CLOSED"}
    status = GateStatus.OPEN
    assert isinstance(do(rollouts.plan, name, plan, later, confirm_losing=True), Transition)


def test_a_return_from_a_rollback_waits_until_nothing_fires(app: Flask, now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 100)
    do(rollouts.roll_back, STAGING, change)
    status = GateStatus.CLOSED
    rollouts.REARM_GATES.set(app, {"firing": lambda *_: GateResult("firing", status, "As the test says.")})
    later = replace(change, now=now + timedelta(days=1))
    returned = {"expected_version": 2, "confirm_gaining": True}
    assert codes(do(archive.delete, STAGING, later, **returned)) == {"GATE_CLOSED"}
    status = GateStatus.OPEN
    assert isinstance(do(archive.delete, STAGING, later, **returned), Transition)


def test_an_archived_flag_is_not_taken_from_where_it_is_still_on_unconfirmed(
    now: datetime, change: ChangeContext
) -> None:
    do(rollouts.roll_back, FLAG, change)
    assert codes(do(archive.archive, FLAG, change, expected_version=find(FLAG).version)) == {"STEP_LOSES_USERS"}
    assert has("development", now)
    archived = do(archive.archive, FLAG, change, expected_version=find(FLAG).version, confirm_losing=True)
    assert isinstance(archived, Transition)


def test_a_preview_of_a_name_that_cools_down_says_so(now: datetime, change: ChangeContext) -> None:
    do(rollouts.roll_back, FLAG, change, in_all=True)
    do(archive.archive, FLAG, change, expected_version=find(FLAG).version)
    do(archive.delete, FLAG, change, expected_version=find(FLAG).version)
    plan = plan_of("production", now, 100)
    with read_only() as session:
        assert [each.code for each in administration.refusals(session, FLAG, plan, change)] == ["COOL_DOWN"]
    assert codes(do(rollouts.plan, FLAG, plan, change)) == {"COOL_DOWN"}


def test_a_return_that_lets_nobody_in_yet_is_no_way_around_a_cool_down(now: datetime, change: ChangeContext) -> None:
    """An advance of the flag's own would follow it, at once."""
    rings = (phase("environments", 100, named=("development",)), replace(CANARY, name="canary"))
    plan = Plan((*rings, phase("everyone", 100)), now)
    do(administration.edit, FLAG, plan, change, expected_version=1, confirm_losing=True)
    do(rollouts.advance, FLAG, change, expected_version=find(FLAG).version)
    made("SEARCH@canary", now, change, 100)
    do(rollouts.roll_back, "SEARCH@canary", change)
    do(rollouts.step_back, FLAG, change, expected_version=find(FLAG).version)
    assert codes(do(archive.delete, "SEARCH@canary", change, expected_version=2)) == {"COOL_DOWN"}
