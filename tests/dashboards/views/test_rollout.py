"""The page of one rollout: how it stands, for everybody who may look."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import leases
from control_plane.rollouts import store
from credits_engine.migration import advance_check_job
from dashboards.chart_windows import ChartWindow
from dashboards.filters import NARROW
from dashboards.view_models import rollout as screens
from flags.client_features.reach_counts import REACH_COUNTS
from flags.client_features.user_directory import user_directory
from flags.store import UserAttributes
from tests.dashboards.browsing import page_text, read_session, write_session
from tests.installation import Installation
from tests.statements import noted

PAGE = f"/rollouts/{FLAG}"
HTML = {"Accept": "text/html"}

SignIn = Callable[[str], FlaskClient]


def test_it_shows_phases_gates_and_alerts(sign_in: SignIn, planned: Rollout) -> None:
    page = page_text(sign_in("victor").get(PAGE).get_data(as_text=True))
    for phase in planned.plan.phases:
        assert phase.title in page
    assert "closed: The soak time of this step lasts until" in page
    for alert in ("Credit consumption failure", "API error rate", "Billing webhook failure", "Credit variance"):
        assert alert in page


def test_the_current_phase_is_marked_for_those_who_do_not_see_it(sign_in: SignIn, planned: Rollout) -> None:
    page = sign_in("victor").get(PAGE).get_data(as_text=True)
    assert page.count('aria-current="step"') == 1


def test_the_page_says_whom_to_ask(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    assert "Contacts" not in page_text(sign_in("victor").get(PAGE).get_data(as_text=True))
    plan = replace(planned.plan, contacts=("Support: Customer Success Team", "<b>On call</b>"))
    with write_session(app) as session:
        assert store.compare_and_set(session, replace(planned, plan=plan), expected_version=planned.version)
    page = page_text(sign_in("victor").get(PAGE).get_data(as_text=True))
    assert "Contacts Support: Customer Success Team <b>On call</b>" in " ".join(page.split())


@pytest.mark.database("sqlite")
def test_it_says_how_many_known_users_have_the_flag_once_that_is_counted(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    installation = Installation(app)
    installation.users(UserAttributes("tester", "free", None, beta=True), UserAttributes("other", "free", None))
    installation.move(1)
    browser = sign_in("victor")
    assert "Known users" not in page_text(browser.get(PAGE).get_data(as_text=True))
    with app.app_context():
        user_directory().find("tester")
        REACH_COUNTS.get().count(datetime.now(UTC))
    assert "Known users 1 of 2 users, 50 %" in " ".join(
        page_text(browser.get(PAGE).get_data(as_text=True)).replace(NARROW, " ").split()
    )
    asked = page_text(sign_in("alice").get(f"{PAGE}/rollback").text)
    assert "1 of 2 known users have it now." in asked


def test_traffic_that_ended_long_after_the_last_change_is_said_to_be_missing_now(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    with app.app_context():
        signals.record(Sample("credit_consumption_failure", bad=False, engine="legacy"))
        signals.flush(datetime.now(UTC) - timedelta(minutes=20))
    assert "Observed no traffic in the last 5 min" in page_text(sign_in("victor").get(PAGE).text)


def test_it_says_when_nobody_guards(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("victor")
    assert "The guard is silent" in page_text(browser.get(PAGE).get_data(as_text=True))
    with write_session(app) as session:
        leases.heartbeat(session, now=datetime.now(UTC), term=1, ttl_seconds=30)
    assert "The guard watches" in page_text(browser.get(PAGE).get_data(as_text=True))


@pytest.mark.parametrize("window", ChartWindow)
def test_the_screen_is_read_in_few_queries(app: Flask, planned: Rollout, window: ChartWindow) -> None:
    with app.app_context():
        advance_check_job.refresh(datetime.now(UTC))
    with read_session(app) as session, noted() as sent:
        screens.read(session, FLAG, now=datetime.now(UTC), lease_seconds=30, window=window)
    assert len(sent) <= 12


@pytest.mark.database("sqlite")
def test_the_page_is_answered_in_twelve_queries(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    victor = sign_in("victor")
    victor.get(PAGE)
    with app.app_context(), noted() as sent:
        victor.get(PAGE)
    assert len(sent) <= 12, sent


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("verb", ["advance", "hold", "resume", "step-back", "rollback", "rearm"])
def test_each_action_has_a_page_of_its_own(sign_in: SignIn, planned: Rollout, verb: str) -> None:
    page = sign_in("alice").get(f"{PAGE}/{verb}").get_data(as_text=True)
    assert f'action="{PAGE}/{verb}"' in page
    assert "Kept in the audit trail with your name." in page_text(page)


@pytest.mark.database("sqlite")
def test_viewers_see_no_buttons_that_they_can_not_press(sign_in: SignIn, planned: Rollout) -> None:
    page = sign_in("victor").get(PAGE).get_data(as_text=True)
    assert "<dialog" not in page
    assert "need the operator role" in page_text(page)


@pytest.mark.database("sqlite")
def test_an_unknown_rollout_is_a_page_not_a_trace(sign_in: SignIn) -> None:
    answer = sign_in("alice").get("/rollouts/NOPE", headers=HTML)
    assert answer.status_code == 404
    assert "There is no rollout of 'NOPE'" in page_text(answer.get_data(as_text=True))


@pytest.mark.database("sqlite")
def test_what_people_write_is_never_markup(sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("olga")
    browser.post(f"{PAGE}/hold", data={"reason": "<script>alert(1)</script> & `<b>`"})
    page = browser.get(PAGE).get_data(as_text=True)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in page


def test_phases_left_behind_keep_their_dates(app: Flask, planned: Rollout) -> None:
    later = planned.entered_at + timedelta(days=8)
    with write_session(app) as session:
        rollouts.advance(session, FLAG, ChangeContext(later, "alice"), expected_version=1, approval="By hand.")
        screen = screens.read(session, FLAG, now=later, lease_seconds=30)
    assert [phase.entered_at for phase in screen.phases] == [planned.entered_at, later, None, None]
