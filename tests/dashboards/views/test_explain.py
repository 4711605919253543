"""Explain: the answer for one user, and the trace that led to it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.plans.templates import TEMPLATES
from control_plane.platform.runtime import leases
from flags.administration.definitions import create_flag
from tests.dashboards.browsing import page_text, write_session

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def explain_page(app: Flask, sign_in: SignIn, planned: Rollout) -> Callable[[str], str]:
    """`asked("user=u-1")` is the page for this question."""
    with write_session(app) as session:
        leases.heartbeat(session, now=datetime.now(UTC), term=1, ttl_seconds=3600)
    browser = sign_in("victor")
    return lambda query: browser.get(f"/explain?{query}").get_data(as_text=True)


def test_it_asks_whom_it_is_about(explain_page: Callable[[str], str]) -> None:
    assert "Who is it about?" in page_text(explain_page(""))


def test_the_deciding_rule_is_marked_and_comes_last(explain_page: Callable[[str], str]) -> None:
    page = explain_page("user=u-1")
    assert page.count("is-deciding") == 1
    assert page.rindex("trace-step") == page.index("is-deciding") - len("trace-step ")
    assert f"{FLAG} is off for u-1" in page_text(page)


def test_another_environment_has_another_answer(explain_page: Callable[[str], str]) -> None:
    page = page_text(explain_page("user=u-1&environment=staging"))
    assert f"{FLAG} is on for u-1" in page
    assert "Phase Development and staging Rollout" in page


def test_flags_without_a_rollout_are_explained_by_their_parts(app: Flask, explain_page: Callable[[str], str]) -> None:
    with write_session(app) as session:
        create_flag(session, "lights", {"production": True}, ChangeContext(datetime.now(UTC), "test"))
    assert "<option>lights" in explain_page("")
    assert "Strategy 1, default, lets this user in." in page_text(explain_page("user=u-1&flag=lights"))


def test_commands_to_ask_again_are_safe_to_paste(explain_page: Callable[[str], str]) -> None:
    page = page_text(explain_page("user=u-1%27%3B+ls&flag=" + FLAG))
    assert f"""rollout explain {FLAG} 'u-1'"'"'; ls'""" in page


@pytest.mark.parametrize("user", ["%3Cscript%3E", "%00", "x" * 5000, "%F0%9F%92%A3"])
def test_no_user_id_breaks_it(sign_in: SignIn, planned: Rollout, user: str) -> None:
    answer = sign_in("victor").get(f"/explain?user={user}", headers={"Accept": "text/html"})
    assert answer.status_code < 500
    assert "<script>" not in answer.get_data(as_text=True).partition("<body")[2]


def test_an_unknown_flag_is_named(sign_in: SignIn, planned: Rollout) -> None:
    answer = sign_in("victor").get("/explain?user=u-1&flag=ENABLE_CREDIT_V2", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "ENABLE_CREDIT_V2" in page_text(answer.get_data(as_text=True))


def test_without_a_rollout_it_says_where_flags_come_from(sign_in: SignIn) -> None:
    assert "No flag to explain yet" in page_text(sign_in("victor").get("/explain").get_data(as_text=True))


def test_attributes_can_be_tried_and_asked_again_on_the_command_line(
    app: Flask, explain_page: Callable[[str], str]
) -> None:
    now = datetime.now(UTC)
    europe = replace(TEMPLATES["region-by-region"].make(now).phases[1], steps=(100,))
    with write_session(app) as session:
        rollouts.plan(session, "europe", Plan((europe,), now), ChangeContext(now, "test"))
    query = "user=u-1&flag=europe&environment=production"
    assert "europe is off for u-1" in page_text(explain_page(query))
    page = explain_page(f"{query}&attributes=region%3Deu%0D%0A%0D%0Aplan+%3D+pro")
    assert "europe is on for u-1" in page_text(page)
    assert "region=eu\r\n\r\nplan = pro</textarea>" in page
    assert "properties%5Bregion%5D=eu&amp;properties%5Bplan%5D=pro" in page


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ("country", "Line 1 of the attributes must be name=value, like plan=pro."),
        ("plan=pro%0A=ES", "Line 2 of the attributes must be name=value, like plan=pro."),
        ("plan=pro%0Aplan=free", "Line 2 names plan a second time; leave one of the two."),
        ("plan=" + "x" * 1001, "Line 1 is too long"),
        ("%0A".join(f"a{number}=1" for number in range(101)), "These are 101 attributes; 100 at most can be tried."),
    ],
)
def test_what_can_not_be_read_stays_in_the_form(
    explain_page: Callable[[str], str], attributes: str, sentence: str
) -> None:
    page = explain_page(f"user=u-1&attributes={attributes}")
    assert sentence in page_text(page)
    assert "How it was decided" not in page
    assert 'aria-invalid="true"' in page
