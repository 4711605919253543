"""What is counted is bad from where on alerts.yaml says so, in every process that counts it."""

from pathlib import Path

import pytest
from flask import Flask

from alerts import thresholds
from alerts.definitions import rules_file
from alerts.definitions.parser import parse
from alerts.definitions.rules_file import RULES_FILE
from control_plane.platform.observability import signals
from control_plane.platform.runtime import jobs

SLOW = "database_query_slow"
TEXT = "alerts:\n  database_query_slow: {{threshold: {}, window: 1m, severity: warning}}\n"
RISK = "alerts:\n  credits_at_risk: {{threshold: 0%, window: 1m, severity: critical, {}}}\n"


def test_each_duration_has_the_bound_of_its_alert_and_of_two_the_stricter_one() -> None:
    text = TEXT.format("300ms") + "  quicker: {threshold: 20ms, window: 1m, severity: info, metric: credit_api_slow}\n"
    text += "  quick: {threshold: 50ms, window: 1m, severity: info, metric: credit_api_slow}\n"
    assert thresholds.bounds(parse(text)) == {SLOW: 0.3, "credit_api_slow": 0.02}


def test_of_two_budgets_the_smaller_one_counts_and_an_alert_without_one_says_nothing() -> None:
    assert thresholds.budgets(parse(RISK.format("budget: 500"))) == {"credits_at_risk": 500}
    assert thresholds.budgets(parse(RISK.format(""))) == {}
    second = "  lower: {threshold: 0%, window: 1m, severity: info, metric: credits_at_risk, budget: 20}\n"
    assert thresholds.budgets(parse(RISK.format("budget: 500") + second)) == {"credits_at_risk": 20}


@pytest.mark.database("sqlite")
def test_a_changed_file_changes_what_is_counted_in_each_process(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text(TEXT.format("300ms"))
    with app.app_context():
        RULES_FILE.set(app, rules_file.RulesFile(file))
        thresholds.init_app(app)
        assert signals.bound_seconds(SLOW, 0.5) == 0.3
        assert signals.bound_seconds("no_such_duration", 0.5) == 0.5
        assert signals.budget(app, "credits_at_risk", 1000) == 1000
        file.write_text(TEXT.format("100ms") + RISK.format("budget: 7").removeprefix("alerts:\n"))
        refresh = next(each for each in reversed(jobs.jobs_of(app)._schedule.work) if each.name == "alert-bounds")
        for _ in range(2):
            refresh.call()
        assert signals.bound_seconds(SLOW, 0.5) == 0.1
        assert signals.budget(app, "credits_at_risk", 1000) == 7
