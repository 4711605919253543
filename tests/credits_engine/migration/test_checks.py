"""What checklists learn of the credits: books, functions, a restore, users who were migrated, the end of legacy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists.checks import Check
from control_plane.core.checklist import CheckResult
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from credits_engine.billing.checks import webhooks_check
from credits_engine.migration import checks, restore_test
from credits_engine.migration.restore_test import Step
from credits_engine.store import check_results
from credits_engine.store.check_results import Run
from flags.administration.users import UserChange, import_users

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def planned(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "alice", "Planned."))


def ask(app: Flask, check: Check, argument: str = "") -> CheckResult:
    with app.app_context(), read_only() as session:
        return check(session, rollouts.find(session, FLAG), argument, NOW)


@pytest.mark.parametrize(("hours", "found", "expected"), [(1, 0, True), (1, 2, False), (27, 0, None)])
def test_books_are_as_the_last_comparison_found_them(app: Flask, hours: int, found: int, expected: bool | None) -> None:
    assert ask(app, checks.books_check).passed is None
    with app.app_context(), transaction() as session:
        check_results.add_run(session, Run(NOW - timedelta(hours=hours), "schedule", 10, found))
    assert ask(app, checks.books_check).passed is expected


@pytest.mark.database("postgresql")
def test_a_function_that_is_missing_is_named(app: Flask) -> None:
    assert ask(app, checks.functions_check).passed
    with app.app_context(), transaction() as session:
        session.execute(text("ALTER FUNCTION consume_credits RENAME TO consumed_credits"))
    found = ask(app, checks.functions_check)
    assert found.passed is False
    assert "no function consume_credits;" in found.sentence


@pytest.mark.parametrize("passed", [True, False])
def test_a_restore_test_is_found_in_the_audit_trail(app: Flask, passed: bool) -> None:
    assert ask(app, checks.restore_test_check).passed is None
    with app.app_context(), transaction() as session:
        restore_test.record(session, [Step("copy", passed, "x")], now=NOW - timedelta(days=2), actor="alice")
    assert ask(app, checks.restore_test_check, "30").passed is passed
    assert ask(app, checks.restore_test_check, "1").passed is None


def test_everybody_is_migrated_once_all_are_served_and_have_a_period(app: Flask) -> None:
    assert ask(app, checks.everybody_check).passed is False
    with app.app_context(), transaction() as session:
        found = rollouts.find(session, FLAG)
        moved = replace(found, version=2, position=Position(3, 3))
        assert rollout_store.compare_and_set(session, moved, expected_version=1)
    assert ask(app, checks.everybody_check).passed
    with app.app_context(), transaction() as session:
        import_users(session, [UserChange("ann", {"plan": "free"})], actor="alice", now=NOW)
    found_missing = ask(app, checks.everybody_check)
    assert (found_missing.passed, found_missing.sentence[:1]) == (None, "1")


def test_legacy_may_not_go_before_the_rollout_is_complete(app: Flask) -> None:
    found = ask(app, checks.retirement_check)
    assert found.passed is False
    assert "not complete" in found.sentence


def test_without_an_event_nobody_can_tell_whether_webhooks_work(app: Flask) -> None:
    assert ask(app, webhooks_check).sentence == "No event of Stripe was applied in 7 days."
