"""After a rollback: the rollout's page says what it cost, and an owner approves the corrections."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.rollouts import store
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.operations.consumption import EnginePolicy, Engines, FlagEvaluation, Operation, consume
from credits_engine.remediation import preparation
from flags.store.directory import UserAttributes, upsert_users
from tests.dashboards.browsing import page_text, write_session

PAGE = f"/rollouts/{FLAG}"
REPORT = f"{PAGE}/rollbacks/1"
HTML = {"Accept": "text/html"}
BY_V2 = FlagEvaluation(enabled=True, reason="test", revision=1)

SignIn = Callable[[str], FlaskClient]


def doubling(book: Book, request: Request) -> Decision:
    decision = v2.decide(book, request)
    return replace(decision, charged=decision.charged + decision.charged)


@pytest.fixture
def rolled_back(app: Flask, planned: Rollout) -> datetime:
    """v2 charged u-1 ten instead of five, and was rolled back some seconds ago; nobody has added it up yet."""
    now = datetime.now(UTC) - timedelta(seconds=15)
    with write_session(app) as session:
        upsert_users(session, [UserAttributes("u-1", "starter", now)], now=now)
    with write_session(app) as session:
        operation = Operation("u-1", "k1", Amounts(analysis=5), "tests")
        consume(
            session, operation, now=now, evaluate=lambda _: BY_V2, policy=EnginePolicy(engines=Engines(v2=doubling))
        )
    with write_session(app) as session:
        rollouts.roll_back(session, FLAG, ChangeContext(now, "guard", "credit_variance: too much"))
    return now


@pytest.fixture
def reported(app: Flask, rolled_back: datetime) -> None:
    with app.app_context():
        preparation.prepare(datetime.now(UTC))


def test_the_rollout_says_what_v2_left_behind(app: Flask, sign_in: SignIn, rolled_back: datetime) -> None:
    browser = sign_in("victor")
    assert "are being counted" in page_text(browser.get(PAGE).text)
    with app.app_context():
        preparation.prepare(datetime.now(UTC))
    page = page_text(browser.get(PAGE).text)
    assert (
        "v2 served 1 operation of 1 user. It charged 10 analysis credits; legacy would have charged 5 analysis credits."
        in page
    )
    assert "1 account is owed 5 analysis credits. An owner has to approve the corrections." in page
    assert REPORT not in browser.get(PAGE).text


@pytest.mark.usefixtures("reported")
def test_what_is_owed_stays_on_the_page_after_a_new_attempt_until_it_is_approved(
    app: Flask, sign_in: SignIn, current_rollout: Callable[[], Rollout]
) -> None:
    rolled_back = current_rollout()
    again = replace(rolled_back, state=RolloutState.RUNNING, attempt=2, version=rolled_back.version + 1)
    with write_session(app) as session:
        assert store.compare_and_set(session, again, expected_version=rolled_back.version)
    browser = sign_in("alice")
    page = browser.get(PAGE).text
    assert "What users are owed from attempt 1" in page_text(page)
    assert REPORT in page
    browser.post(REPORT, data={"reason": "As reported."})
    assert "What users are owed" not in page_text(browser.get(PAGE).text)


@pytest.mark.usefixtures("reported")
def test_an_owner_sees_the_accounts_and_approves_once(sign_in: SignIn) -> None:
    browser = sign_in("alice")
    page = page_text(browser.get(REPORT).text)
    assert "u-1 1 0 0 10 analysis credits 5 analysis credits 5 analysis credits Proposed" in page
    refused = browser.post(REPORT, data={"reason": ""}, follow_redirects=True).text
    assert "a reason is required" in page_text(refused)
    for _ in range(2):
        browser.post(REPORT, data={"reason": "As reported."})
    page = page_text(browser.get(REPORT).text)
    assert "Given back" in page
    assert "Approve the corrections" not in page
    assert "Analysis 5 of" in page_text(browser.get("/credits?user=u-1").text)


@pytest.mark.usefixtures("reported")
def test_nobody_else_may_look_or_approve(sign_in: SignIn) -> None:
    browser = sign_in("olga")
    assert browser.get(REPORT, headers=HTML).status_code == 403
    assert browser.post(REPORT, data={"reason": "I want to."}).status_code == 403


@pytest.mark.usefixtures("planned")
def test_an_attempt_without_a_report_is_a_page_not_a_trace(sign_in: SignIn) -> None:
    answer = sign_in("alice").get(f"{PAGE}/rollbacks/3", headers=HTML)
    assert answer.status_code == 404
    assert "There is no report on attempt 3" in page_text(answer.text)
