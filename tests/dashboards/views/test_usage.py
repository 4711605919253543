"""Usage of the credits on a page: by day, by engine or plan, and only for owners."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from flags.store.directory import UserAttributes, upsert_users
from tests.dashboards.browsing import page_text, write_session

SignIn = Callable[[str], FlaskClient]
BY_LEGACY = FlagEvaluation(enabled=False, reason="test", revision=1)
HTML = {"Accept": "text/html"}


def consumed(app: Flask, *days_ago: int) -> None:
    """Use seven analysis credits of one user on each of these days."""
    now = datetime.now(UTC)
    with write_session(app) as session:
        upsert_users(session, [UserAttributes("u-1", "starter", now - timedelta(days=60))], now=now)
    for days in days_ago:
        at = now - timedelta(days=days)
        with write_session(app) as session:
            operation = Operation("u-1", f"day-{days}", Amounts(analysis=7), "tests")
            consume(session, operation, now=at, evaluate=lambda _: BY_LEGACY)


def test_without_any_usage_it_says_so(sign_in: SignIn) -> None:
    assert "Nothing was consumed" in page_text(sign_in("alice").get("/usage").text)


def test_usage_is_shown_by_day_and_divided(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    consumed(app, 0, 1, 5, 20)
    alice = sign_in("alice")
    month = alice.get("/usage").text
    assert "Analysis 28 in all" in page_text(month)
    assert "legacy 4 0 0 28 0" in page_text(month)
    assert month.count("<rect") == 60
    assert re.search(r"\d+ \w+ \d{4} to \d+ \w+ \d{4}; the highest bar is 7", page_text(month))
    assert 'href="/api/admin/credits/analytics?format=csv"' in month
    assert alice.get("/api/admin/credits/analytics?format=csv").mimetype == "text/csv"
    week = page_text(alice.get("/usage?days=7&by=plan").text)
    assert "Analysis 21 in all" in week
    assert "starter 3 0 0 21 0" in week
    assert "Analysis 28 in all" in page_text(alice.get("/usage?days=x&by=y").text)


def test_accounts_are_shown_by_what_they_consumed_and_one_of_them_by_day(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    consumed(app, 0, 1, 20)
    alice = sign_in("alice")
    page = alice.get("/usage?by=account&days=7").text
    assert "u-1 2 0 14" in page_text(page)
    assert 'href="/usage?days=7&amp;account=u-1"' in page
    own = page_text(alice.get("/usage?days=30&account=u-1").text)
    assert "What u-1 consumed" in own
    assert "Analysis 21 in all" in own
    assert "What nobody consumed All accounts · Credits Nothing was consumed" in page_text(
        alice.get("/usage?account=nobody").text
    )
    assert "&lt;b&gt;" in alice.get("/usage?account=<b>x</b>").text


def test_usage_is_for_owners(sign_in: SignIn) -> None:
    assert sign_in("olga").get("/usage", headers=HTML).status_code == 403
