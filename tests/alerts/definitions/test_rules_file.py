"""`alerts.yaml` while it can't be used: nothing is guarded by it, and nothing pretends to be."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.guard_job import run_guard
from control_plane.platform import start_checks
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime import leases
from control_plane.platform.setting_values import SettingsError

RULES = Path(__file__).parents[3] / "alerts.yaml"


def test_a_server_does_not_start_without_alerts(tmp_path: Path) -> None:
    app = Flask("server")
    start_checks.register(app, RulesFile(tmp_path / "missing.yaml").require)
    with pytest.raises(SettingsError, match="set ALERTS_FILE"):
        start_checks.run(app)


def test_a_server_starts_with_alerts() -> None:
    app = Flask("server")
    start_checks.register(app, RulesFile(RULES).require)
    start_checks.run(app)


def test_the_guard_without_alerts_has_no_heartbeat(app: Flask, tmp_path: Path) -> None:
    RULES_FILE.set(app, RulesFile(tmp_path / "missing.yaml"))
    with app.app_context():
        with pytest.raises(SettingsError, match="can't be read"):
            run_guard(datetime.now(UTC), 1)
        with read_only() as session:
            assert leases.guard_expires_at(session) is None


def test_alerts_come_into_force_once_the_file_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("alerts: [")
    rules = RulesFile(path)
    assert (rules.loaded, rules.rules) == (False, ())
    path.write_text(RULES.read_text())
    rules.refresh()
    rules.refresh()
    assert rules.loaded
    assert rules.problem is None
