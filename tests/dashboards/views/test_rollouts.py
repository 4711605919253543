"""The list of rollouts: what needs attention first, and a way to start when there is nothing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.identity_types import Grant, Person, Role
from dashboards.view_models import rollouts as screens
from tests.dashboards.browsing import page_text, read_session, write_session
from tests.statements import noted

SignIn = Callable[[str], FlaskClient]


def test_it_names_reach_soak_guardrails_and_the_last_change(sign_in: SignIn, planned: Rollout) -> None:
    page = page_text(sign_in("victor").get("/").get_data(as_text=True))
    for expected in (FLAG, "development and staging", "6 d 22 h", "alerts, none firing", "system, 1 h 5 min ago"):
        assert expected in page


@pytest.mark.parametrize(
    ("status", "said"), [(GateStatus.UNKNOWN, "Ready, with an approval"), (GateStatus.OPEN, "Ready to advance")]
)
def test_ready_says_whether_a_person_has_to_approve(
    sign_in: SignIn, planned: Rollout, monkeypatch: pytest.MonkeyPatch, status: GateStatus, said: str
) -> None:
    monkeypatch.setattr(rollouts, "gates", lambda *_: [GateResult("safety", status, "Why.")])
    assert said in page_text(sign_in("victor").get("/").text)


def test_an_empty_list_says_how_to_begin(sign_in: SignIn) -> None:
    page = page_text(sign_in("victor").get("/").get_data(as_text=True))
    assert "No rollout yet" in page
    assert "rollout plan" in page


def test_an_owner_of_one_environment_reads_who_begins_a_rollout_there(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person]
) -> None:
    sentence = "You own staging. A rollout there takes over from that of the whole flag"
    assert sentence not in page_text(sign_in("victor").get("/").text)
    with write_session(app) as session:
        grants, now = [Grant(Role.OWNER, environment="staging")], datetime.now(UTC)
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=now, actor="tests")
    assert sentence in page_text(sign_in("victor").get("/").text)


def test_the_urgent_come_first(app: Flask, planned: Rollout) -> None:
    now = datetime.now(UTC)
    with write_session(app) as session:
        for flag in ("A_CALM", "B_HELD", "C_STOPPED"):
            rollouts.plan(session, flag, default_plan(now), ChangeContext(now, "alice", "Another."))
        rollouts.hold(session, "B_HELD", ChangeContext(now, "olga", "Weekend."))
        rollouts.roll_back(session, "C_STOPPED", ChangeContext(now, "olga", "Wrong balances."))
    with read_session(app) as session:
        screen = screens.read(session, now=now, lease_seconds=30)
    assert [line.rollout.flag for line in screen.lines] == ["C_STOPPED", "B_HELD", "A_CALM", FLAG]


@pytest.mark.database("sqlite")
def test_rolling_back_is_one_click_away_for_those_who_may(sign_in: SignIn, planned: Rollout) -> None:
    address = f'href="/rollouts/{FLAG}/rollback"'
    assert address in sign_in("olga").get("/").get_data(as_text=True)
    assert address not in sign_in("victor").get("/").get_data(as_text=True)


@pytest.fixture
def many(app: Flask) -> None:
    """A hundred and twenty flags, one of them held and one tagged."""
    now = datetime.now(UTC)
    with write_session(app) as session:
        for number in range(120):
            tags = ("search",) if number == 7 else ()
            plan = replace(default_plan(now), tags=tags, owner=f"team-{number % 3}")
            rollouts.plan(session, f"FLAG_{number:03}", plan, ChangeContext(now, "alice", "Planned."))
        rollouts.hold(session, "FLAG_119", ChangeContext(now, "alice", "Weekend."))


def test_many_rollouts_are_a_table_by_pages_the_urgent_first(sign_in: SignIn, many: None) -> None:
    victor = sign_in("victor")
    first = victor.get("/").text
    assert first.count('<th scope="row">') == 50
    assert page_text(first).index("FLAG_119") < page_text(first).index("FLAG_000")
    assert "120 rollouts, page 1 of 3" in page_text(first)
    last = victor.get("/?page=3").text
    assert "FLAG_118" in last
    assert "FLAG_118" in victor.get("/?page=999999").text


def test_many_rollouts_are_searched(sign_in: SignIn, many: None) -> None:
    found = {"q=flag_11": 10, "tag=search": 1, "state=held": 1, "q=team-1": 40, "q=no-such": 0}
    victor = sign_in("victor")
    pages = {query: victor.get(f"/?{query}").text for query in found}
    assert {query: page.count('<th scope="row">') for query, page in pages.items()} == found
    assert [query for query, page in pages.items() if "No rollout like that" in page] == ["q=no-such"]


def test_a_list_of_many_takes_few_queries(app: Flask, sign_in: SignIn, many: None) -> None:
    victor = sign_in("victor")
    with app.app_context(), noted() as statements:
        victor.get("/")
    assert len(statements) <= 12, statements
    with app.app_context(), noted() as statements:
        assert len(victor.get("/api/rollouts").get_json()["rollouts"]) == 120
    assert len(statements) <= 10, statements
    with read_session(app) as session, noted() as statements:
        screens.read(session, now=datetime.now(UTC), lease_seconds=30)
    assert len(statements) <= 10, statements
