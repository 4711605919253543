"""The alerts over JSON, as a script reads them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient

from alerts.guard_job import run_guard
from control_plane.experiments.credits import FLAG
from tests.alerts.conftest import StoredRollout


def test_a_verdict_has_its_figures_its_sentence_and_instants_that_a_program_can_read(
    app: Flask, stored_rollout: StoredRollout, sign_in: Callable[[str], FlaskClient]
) -> None:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        run_guard(stored_rollout.now + timedelta(seconds=1), 1)
    found = sign_in("victor").get(f"/api/alerts/{FLAG}").get_json()
    assert found["attempt"] == stored_rollout.rollout.attempt
    verdict = next(each for each in found["verdicts"] if each["alert"] == "credit_consumption_failure")
    assert verdict["counts"] == {"bad": 0, "total": 0}
    assert verdict["rate"] == 0
    assert verdict["reason"].startswith(verdict["cause"])
    assert datetime.fromisoformat(verdict["at"]) == datetime.fromisoformat(verdict["calm_since"]) == stored_rollout.now
    assert verdict["breached_since"] is None
