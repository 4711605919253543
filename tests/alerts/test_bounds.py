"""A duration is bad from when on alerts.yaml says so, in every process that counts it."""

from pathlib import Path

import pytest
from flask import Flask

from alerts import bounds
from alerts.definitions import rules_file
from alerts.definitions.reading import parse
from control_plane.platform import jobs, signals

SLOW = "database_query_slow"
TEXT = "alerts:\n  database_query_slow: {{threshold: {}, window: 1m, severity: warning}}\n"


def test_each_duration_has_the_bound_of_its_alert_and_of_two_the_stricter_one() -> None:
    text = TEXT.format("300ms") + "  quicker: {threshold: 20ms, window: 1m, severity: info, metric: credit_api_slow}\n"
    text += "  quick: {threshold: 50ms, window: 1m, severity: info, metric: credit_api_slow}\n"
    assert bounds.bounds(parse(text)) == {SLOW: 0.3, "credit_api_slow": 0.02}


@pytest.mark.database("sqlite")
def test_a_changed_file_changes_what_is_counted_in_each_process(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text(TEXT.format("300ms"))
    with app.app_context():
        app.extensions["rules_file"] = rules_file.RulesFile(file)
        bounds.init_app(app)
        assert signals.bound_seconds(app, SLOW, 0.5) == 0.3
        assert signals.bound_seconds(app, "no_such_duration", 0.5) == 0.5
        file.write_text(TEXT.format("100ms") + "\n")
        for _ in range(2):
            jobs.of(app)._scheduler.get_job("alert-bounds").func("alert-bounds", bounds._look)
        assert signals.bound_seconds(app, SLOW, 0.5) == 0.1
