"""Flags whose time is over: found by what is stored and what SDKs report, and the same by API, command and page."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import FlagType, Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.administration.stale import StaleCause, stale_flags
from flags.usage.buffer import EvaluationCount, Report

SignIn = Callable[[str], FlaskClient]
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def planned(flag: str, at: datetime, *, complete: bool = False, kind: FlagType = FlagType.RELEASE) -> None:
    with transaction() as session:
        plan = replace(default_plan(at), type=kind)
        rollouts.plan(session, flag, plan, ChangeContext(at, "olga", "Planned."))
        if complete:
            found = rollouts.find(session, flag)
            after = replace(found, version=2, state=RolloutState.COMPLETE, position=Position(3, 3), completed_at=at)
            assert rollout_store.compare_and_set(session, after, expected_version=1)


def requested(flag: str, at: datetime, *, environment: str = "production", app: str = "shop") -> None:
    series = EvaluationCount(flag, environment, app, int(at.timestamp()) // 3600, "yes")
    with transaction() as session:
        store.add_report(session, Report({series: 3}, {}, {}), now=at)


def found(**spans: timedelta) -> list[tuple[str, StaleCause]]:
    with transaction() as session:
        return [(each.flag, each.cause) for each in stale_flags(session, NOW, **spans)]


@pytest.fixture
def context(app: Flask) -> object:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
def test_a_flag_is_stale_by_what_it_is_and_by_who_requests_it() -> None:
    planned("OLD_AND_COMPLETE", NOW - 40 * DAY, complete=True)
    planned("KILL_SWITCH", NOW - 40 * DAY, complete=True, kind=FlagType.KILL_SWITCH)
    planned("NEVER_REQUESTED", NOW - 15 * DAY)
    planned("YOUNG", NOW - 13 * DAY)
    planned(FLAG, NOW - 40 * DAY)  # this program evaluates it itself
    for flag in ("OLD_AND_COMPLETE", "KILL_SWITCH", "TYPO"):
        requested(flag, NOW - DAY)
    assert found() == [
        ("OLD_AND_COMPLETE", StaleCause.COMPLETE),
        ("NEVER_REQUESTED", StaleCause.NOT_REQUESTED),
        ("TYPO", StaleCause.NOT_KNOWN),
    ]
    assert found(complete_for=41 * DAY, unused_for=16 * DAY) == [("TYPO", StaleCause.NOT_KNOWN)]


@pytest.mark.usefixtures("context")
def test_a_request_of_long_ago_counts_no_more() -> None:
    planned("F", NOW - 40 * DAY)
    requested("F", NOW - 15 * DAY)
    assert found() == [("F", StaleCause.NOT_REQUESTED)]
    requested("F", NOW - 13 * DAY)
    assert found() == []


@pytest.mark.usefixtures("context")
def test_an_archived_flag_that_is_requested_all_the_same_is_named_with_who_does() -> None:
    planned("F", NOW - 40 * DAY, complete=True)
    with transaction() as session:
        stored = rollouts.find(session, "F")
        after = replace(stored, version=3, archived_at=NOW, state=RolloutState.ROLLED_BACK, latches_all=True)
        assert rollout_store.compare_and_set(session, after, expected_version=2)
    assert found() == []
    requested("F", NOW - DAY, app="shop")
    requested("F", NOW - DAY, environment="staging", app="mail")
    with transaction() as session:
        (stale,) = stale_flags(session, NOW)
    assert stale.sentence == "It is archived here, and it is still asked for by mail, shop in production, staging."


@pytest.mark.usefixtures("context")
def test_a_flag_without_a_rollout_is_looked_at_too() -> None:
    with transaction() as session:
        feature = {"name": "plain", "enabled": True, "strategies": []}
        store.put_definitions(session, "production", [feature], actor="olga", now=NOW - 20 * DAY)
    assert found() == [("plain", StaleCause.NOT_REQUESTED)]
    requested("plain", NOW)
    assert found() == []


def test_api_and_page_say_the_same(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        planned("NEVER_REQUESTED", NOW - 15 * DAY)
        requested("TYPO", NOW - DAY)
    victor = sign_in("victor")
    answer = victor.get("/api/flags/stale")
    assert [(each["flag"], each["cause"]) for each in answer.get_json()["flags"]] == [
        ("NEVER_REQUESTED", "not_requested"),
        ("TYPO", "not_known"),
    ]
    page = victor.get("/flags/stale").text
    assert all(each["sentence"] in page for each in answer.get_json()["flags"])
    assert victor.get("/api/flags/stale?unusedDays=16&completeDays=1").get_json()["flags"][0]["flag"] == "TYPO"
    for mistake in ("unusedDays=0", "unusedDays=91", "completeDays=many", "days=3"):
        assert victor.get(f"/api/flags/stale?{mistake}").status_code in (400, 422), mistake


def test_the_list_says_the_stage_and_can_be_asked_for_one(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        planned("NEW", NOW)
        planned("OLD", NOW - 40 * DAY, complete=True)
    victor = sign_in("victor")
    listed = {each["flag"]: each["stage"] for each in victor.get("/api/rollouts").get_json()["rollouts"]}
    assert (listed["NEW"], listed["OLD"]) == ("planned", "cleaning_up")
    assert [each["flag"] for each in victor.get("/api/rollouts?stage=cleaning_up").get_json()["rollouts"]] == ["OLD"]
    page = victor.get("/?stage=cleaning_up").text
    assert "OLD" in page
    assert "NEW" not in page
