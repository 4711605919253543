"""Usage of the credits on a page: by day, by engine or plan, and only for owners."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from flags.store.directory import UserAttributes, upsert_users
from tests.dashboards.browsing import changing, words

SignIn = Callable[[str], FlaskClient]
BY_LEGACY = FlagEvaluation(enabled=False, reason="test", revision=1)
HTML = {"Accept": "text/html"}


def consumed(app: Flask, *days_ago: int) -> None:
    """One user uses seven analysis credits on each of these days."""
    now = datetime.now(UTC)
    with changing(app) as session:
        upsert_users(session, [UserAttributes("u-1", "starter", now - timedelta(days=60))], now=now)
    for days in days_ago:
        at = now - timedelta(days=days)
        with changing(app) as session:
            operation = Operation("u-1", f"day-{days}", Amounts(analysis=7), "tests")
            consume(session, operation, now=at, evaluate=lambda _: BY_LEGACY)


def test_without_any_usage_it_says_so(sign_in: SignIn) -> None:
    assert "Nothing was consumed" in words(sign_in("alice").get("/usage").text)


def test_usage_is_shown_by_day_and_divided(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    consumed(app, 0, 1, 5, 20)
    alice = sign_in("alice")
    month = alice.get("/usage").text
    assert "Analysis 28 in all" in words(month)
    assert "legacy 4 0 0 28 0" in words(month)
    assert month.count("<rect") == 60
    week = words(alice.get("/usage?days=7&by=plan").text)
    assert "Analysis 21 in all" in week
    assert "starter 3 0 0 21 0" in week
    assert "Analysis 28 in all" in words(alice.get("/usage?days=x&by=y").text)


def test_usage_is_for_owners(sign_in: SignIn) -> None:
    assert sign_in("olga").get("/usage", headers=HTML).status_code == 403
