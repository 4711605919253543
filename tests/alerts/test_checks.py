"""What checklists learn of the guard: alerts that watch, rates below their thresholds, drills, and people told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from alerts.checks import alert_check, below_check, drill_check, target_check
from alerts.drill import store as drills
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.checklists.checks import Check
from control_plane.core.checklist import CheckResult
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.settings import SETTINGS
from tests.alerts.conftest import StoredRollout

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def ask(app: Flask, check: Check, argument: str = "", at: datetime = NOW) -> CheckResult:
    with app.app_context(), read_only() as session:
        return check(session, rollouts.find(session, FLAG), argument, at)


def test_an_alert_watches_or_is_missing_by_name(app: Flask, stored_rollout: StoredRollout) -> None:
    assert ask(app, alert_check, "credit_consumption_failure,credit_status_slow").passed
    missing = ask(app, alert_check, "credit_consumption_failure,no_such_alert")
    assert (missing.passed, missing.sentence) == (False, f"alerts.yaml has no no_such_alert for {FLAG}.")


def test_rates_are_below_above_or_not_known(app: Flask, stored_rollout: StoredRollout) -> None:
    assert ask(app, below_check).passed is None
    with app.app_context():
        run_guard(NOW, 1)
        assert ask(app, below_check, "credit_consumption_failure").passed is None
        signals.record(*[Sample("credit_consumption_failure", bad=False, engine="v2")] * 500)
        run_guard(NOW + timedelta(seconds=1), 1)
        alone = ask(app, below_check, "credit_consumption_failure")
        assert (alone.passed, alone.sentence) == (True, "credit_consumption_failure is below its threshold.")
        both = ask(app, below_check, "credit_consumption_failure,credit_consumption_failure")
        assert both.sentence.endswith(" and credit_consumption_failure are below their thresholds.")
        assert ask(app, below_check).sentence == "Every rate is below its threshold."
        failures = (Sample("credit_consumption_failure", bad=True, engine="v2", account=f"{n}") for n in range(200))
        signals.record(*failures)
        run_guard(NOW + timedelta(seconds=2), 1)
    assert ask(app, below_check, "credit_consumption_failure").passed is False
    assert ask(app, below_check).passed is False


@pytest.mark.parametrize(("age", "passed", "expected"), [(1, True, True), (1, False, False), (31, True, None)])
def test_a_drill_counts_for_as_long_as_the_plan_says(
    app: Flask, stored_rollout: StoredRollout, age: int, passed: bool, expected: bool | None
) -> None:
    assert ask(app, drill_check, "30").passed is None
    with app.app_context(), transaction() as session:
        drills.add(session, now=NOW - timedelta(days=age), actor="alice", passed=passed, milliseconds=1, report={})
    assert ask(app, drill_check, "30").passed is expected


def test_somebody_is_told_where_an_address_is_set(app: Flask, stored_rollout: StoredRollout) -> None:
    assert ask(app, target_check).passed is None
    SETTINGS.set(app, replace(SETTINGS.get(app), notify_urls=("slack://a/b/c",)))
    found = ask(app, target_check)
    assert found.passed
    assert "slack" in found.sentence
    assert "a/b/c" not in found.sentence
