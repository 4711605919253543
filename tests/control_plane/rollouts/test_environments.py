"""A rollout of one environment beside the flag's own, on both databases: begun, moved, rolled back, restored."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts import gates
from control_plane import rollouts
from control_plane.audiences.exposure import Exposure
from control_plane.change_context import ChangeContext
from control_plane.checklists import checks
from control_plane.core.gates import GateStatus
from control_plane.core.phases import Plan, RolloutState
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.plans import administration
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import archive, store
from tests.control_plane.rollouts.rings import FLAG, OTHERS, STAGING, codes, do, find, has, made, phase, plan_of, served

pytestmark = pytest.mark.usefixtures("ringed")


def test_it_decides_in_its_environment_and_nowhere_else(now: datetime, change: ChangeContext) -> None:
    before = {each: served(each) for each in OTHERS}
    made(STAGING, now, change, 40, 100)
    assert served("staging") == Exposure(everyone_percentage=40)
    assert {each: served(each) for each in OTHERS} == before
    do(rollouts.advance, STAGING, change, expected_version=1)
    assert served("staging") == Exposure(everyone_percentage=100)
    assert {each: served(each) for each in OTHERS} == before


def test_the_flags_own_moves_on_without_it(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 40, 100)
    do(rollouts.advance, FLAG, change, expected_version=2)
    assert served("production") == Exposure(everyone_percentage=10)
    assert served("staging") == Exposure(everyone_percentage=40)


def test_whoever_has_the_flag_there_keeps_it_unless_that_is_confirmed(now: datetime, change: ChangeContext) -> None:
    decision = do(rollouts.plan, STAGING, plan_of("staging", now, 40, 100), change)
    assert codes(decision) == {"STEP_LOSES_USERS"}
    assert isinstance(decision, Refusal)
    assert "Planning SEARCH in staging takes the flag from 0 known users in staging" in decision.sentence
    with read_only() as session:
        preview = administration.refusals(session, STAGING, plan_of("staging", now, 40, 100), change)
        assert [reason.code for reason in preview] == ["STEP_LOSES_USERS"]
    whole = Plan((phase("environments", 100, named=("staging",)),), now, environment="staging")
    assert isinstance(do(rollouts.plan, STAGING, whole, change), Transition)
    assert served("staging") == Exposure(environment=True)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SEARCH@production", "INVALID_FLAG_NAME"),
        ("SEARCH@Production", "INVALID_FLAG_NAME"),
        ("SEARCH@PRODUCTION", "INVALID_FLAG_NAME"),
        ("SEARCH@a b", "INVALID_FLAG_NAME"),
        ("SEARCH@", "INVALID_FLAG_NAME"),
    ],
)
def test_it_has_the_name_of_an_environment_other_than_production(
    now: datetime, change: ChangeContext, name: str, code: str
) -> None:
    assert codes(do(rollouts.plan, name, plan_of("staging", now, 100), change)) == {code}


def test_it_needs_the_flags_own_rollout_first(now: datetime, change: ChangeContext) -> None:
    assert codes(do(rollouts.plan, "OTHER@staging", plan_of("staging", now, 100), change)) == {"FLAG_NOT_PLANNED"}


def test_its_plan_is_of_its_environment_for_ever(now: datetime, change: ChangeContext) -> None:
    assert codes(do(rollouts.plan, STAGING, plan_of("canary", now, 100), change)) == {"PLAN_INVALID"}
    made(STAGING, now, change, 40, 100)
    for environment in ("production", "canary"):
        moved = plan_of(environment, now, 40, 100)
        assert codes(do(administration.edit, STAGING, moved, change, expected_version=1)) >= {"PLAN_INVALID"}
    moved = plan_of("staging", now, 100)
    assert codes(do(administration.edit, FLAG, moved, change, expected_version=2)) >= {"PLAN_INVALID"}


def test_a_persons_rollback_of_one_leaves_the_other(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 100)
    do(rollouts.advance, FLAG, change, expected_version=2)
    do(rollouts.roll_back, STAGING, change)
    assert (has("staging", now), find(FLAG).state) == (False, RolloutState.RUNNING)
    do(rollouts.roll_back, FLAG, change)
    do(rollouts.rearm, STAGING, replace(change, now=now + timedelta(hours=1)), expected_version=2)
    assert find(FLAG).latched
    assert has("staging", now)


def test_what_production_showed_spares_staging_and_takes_every_other_environment(
    now: datetime, change: ChangeContext
) -> None:
    for name in (STAGING, "SEARCH@canary"):
        made(name, now, change, 100)
    do(rollouts.roll_back, FLAG, replace(change, actor="guard", evidence={"verdicts": []}), attempt=1)
    assert {each: find(each).latched for each in (FLAG, STAGING, "SEARCH@canary")} == {
        FLAG: True,
        STAGING: False,
        "SEARCH@canary": True,
    }
    assert (has("staging", now), has("canary", now)) == (True, False)


def test_a_verdict_on_an_earlier_attempt_rolls_back_none_of_them(now: datetime, change: ChangeContext) -> None:
    made("SEARCH@canary", now, change, 100)
    assert codes(do(rollouts.roll_back, FLAG, change, attempt=7)) == {"OTHER_ATTEMPT"}
    assert not find("SEARCH@canary").latched


@pytest.mark.parametrize("named", [FLAG, STAGING])
def test_everywhere_takes_them_all_whichever_is_named(now: datetime, change: ChangeContext, named: str) -> None:
    for name in (STAGING, "SEARCH@canary"):
        made(name, now, change, 100)
    do(rollouts.roll_back, named, change, in_all=True)
    assert all(find(each).latched for each in (FLAG, STAGING, "SEARCH@canary"))
    assert not any(has(each, now) for each in ("staging", *OTHERS))


def test_none_begins_or_is_armed_again_where_the_flag_is_rolled_back(now: datetime, change: ChangeContext) -> None:
    made("SEARCH@canary", now, change, 100)
    do(rollouts.roll_back, FLAG, change, in_all=True)
    assert codes(do(rollouts.plan, STAGING, plan_of("staging", now, 100), change)) == {"ROLLED_BACK"}
    later = replace(change, now=now + timedelta(days=1))
    assert codes(do(rollouts.rearm, "SEARCH@canary", later, expected_version=2)) == {"ROLLED_BACK"}
    do(rollouts.rearm, FLAG, later, expected_version=find(FLAG).version)
    assert isinstance(do(rollouts.rearm, "SEARCH@canary", later, expected_version=2), Transition)


def test_gates_know_nothing_of_it_and_say_so(app: Flask, now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 100)

    for gate in (gates.guardrails, gates.safety, gates.served):
        with read_only() as session:
            assert gate(session, find(STAGING), now).status is GateStatus.UNKNOWN


def test_flags_whose_names_differ_in_capitals_alone_keep_their_own(now: datetime, change: ChangeContext) -> None:
    do(rollouts.plan, "search", plan_of("production", now, 100), change)
    made("search@staging", now, change, 100)
    with read_only() as session:
        assert store.of_single_environments(session, FLAG) == []
        assert [each.flag for each in store.of_single_environments(session, "search")] == ["search@staging"]


def test_a_form_that_was_opened_before_one_began_or_ended_moves_nothing(now: datetime, change: ChangeContext) -> None:
    made(STAGING, now, change, 100)
    assert codes(do(rollouts.advance, FLAG, change, expected_version=1)) == {"VERSION_CONFLICT"}
    do(archive.delete, STAGING, change, expected_version=1, confirm_gaining=True)
    assert codes(do(rollouts.advance, FLAG, change, expected_version=2)) == {"VERSION_CONFLICT"}
    assert isinstance(do(rollouts.advance, FLAG, change, expected_version=3), Transition)


def test_whoever_begins_one_while_the_flag_is_rolled_back_waits_and_is_refused(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    found: list[Decision] = []

    def begin() -> None:
        with app.app_context():
            found.append(do(rollouts.plan, "SEARCH@canary", plan_of("canary", now, 100), change, confirm_losing=True))

    other = threading.Thread(target=begin)
    with transaction() as session:
        rollouts.roll_back(session, FLAG, change)
        other.start()
        other.join(timeout=0.3)
    other.join()
    assert codes(found[0]) == {"ROLLED_BACK"}


def test_whoever_rolls_back_while_one_begins_takes_it_along(app: Flask, now: datetime, change: ChangeContext) -> None:
    def roll_back() -> None:
        with app.app_context():
            do(rollouts.roll_back, FLAG, change)

    other = threading.Thread(target=roll_back)
    with transaction() as session:
        rollouts.plan(session, "SEARCH@canary", plan_of("canary", now, 100), change, confirm_losing=True)
        other.start()
        other.join(timeout=0.3)
    other.join()
    assert find("SEARCH@canary").latched


def test_a_restore_latches_it_like_any_other(now: datetime, change: ChangeContext) -> None:
    before = made(STAGING, now, change, 100)
    with transaction() as session:
        store.delete(session, STAGING)
    with transaction() as session:
        latched = rollouts.latch_restored(session, STAGING, before, change)
    assert (latched.latched, has("staging", now)) == (True, False)


def test_a_check_that_looks_at_production_ticks_nothing_of_another_environment(
    now: datetime, change: ChangeContext
) -> None:
    made(STAGING, now, change, 100)
    with read_only() as session:
        found = {name: checks.run(session, find(STAGING), name, now).passed for name in ("below", "books", "schema")}
    assert found == {"below": None, "books": None, "schema": True}
