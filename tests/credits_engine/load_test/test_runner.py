"""A load test against a running server: accounts of its own, no evidence for the release, and a record of it."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from control_plane import rollouts
from control_plane import store as rollout_store
from control_plane.change_context import ChangeContext
from control_plane.phases import FLAG, Position, default_plan
from control_plane.platform.auth import audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.settings import Settings
from credits_engine.load_test import runner
from credits_engine.load_test.check import load_test_check
from tests.applications import application
from tests.serving import COMMAND, ROOT, serving


def load_test(folder: Path, url: str, *options: str) -> tuple[int, dict[str, Any], str]:
    environment = {**os.environ, "INSTANCE_DIR": str(folder), "ALERTS_FILE": str(ROOT / "alerts.yaml")}
    command = [str(COMMAND), "load-test", "--url", url, "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_it_is_no_evidence_leaves_no_token_and_is_on_record(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        code, found, _ = load_test(tmp_path, served.url, "--rate", "20", "--seconds", "2")
    assert found["requests"] == 40
    assert found["failed"] == 0
    assert code == (0 if found["passed"] else 1)
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, background=False)
    with application(settings) as app, app.app_context(), read_only() as session:
        counted = {series.signal for series in signals.totals(session)}
        in_force = [each for each in tokens.list_tokens(session) if each.revoked_at is None]
        entry = audit.latest(session, subject=runner.SUBJECT, limit=1)[0]
        check = load_test_check(session, rollouts.find(session, FLAG), "30", datetime.now(UTC))
    assert not counted & {"credit_consumption_failure", "credit_variance", "credit_routed", "credit_serving_failure"}
    assert in_force == []
    assert entry.after is not None
    assert entry.after["requests"] == 40
    assert check.passed is found["passed"]


def test_it_is_refused_where_somebody_in_production_has_v2(app: Any) -> None:
    with app.app_context(), transaction() as session:
        now = datetime.now(UTC)
        rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "Planned."))
        found = rollouts.find(session, FLAG)
        moved = replace(found, version=2, position=Position(1, 0))
        assert rollout_store.compare_and_set(session, moved, expected_version=1)
    with app.app_context(), pytest.raises(runner.LoadTestRefused, match="already"):
        runner.run("http://127.0.0.1:9", per_second=1, seconds=1, actor="alice")


def test_it_is_refused_where_nothing_answers(app: Any) -> None:
    with app.app_context(), pytest.raises(runner.LoadTestRefused, match="Nothing answers at http"):
        runner.run("http://127.0.0.1:9", per_second=1, seconds=1, actor="alice")
    with app.app_context(), read_only() as session:
        assert [each for each in tokens.list_tokens(session) if each.revoked_at is None] == []
