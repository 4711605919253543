"""A load test against a running server: accounts of its own, no evidence for the release, and a record of it."""

import json
import os
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import pytest

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from credits_engine.load_test import runner
from credits_engine.load_test.check import load_test_check
from flags.store.directory import count_users
from tests.applications import application
from tests.serving import COMMAND, ROOT, serving

PATIENCE_SECONDS = 120


def load_test(folder: Path, url: str, *options: str) -> tuple[int, dict[str, Any], str]:
    environment = {**os.environ, "INSTANCE_DIR": str(folder), "ALERTS_FILE": str(ROOT / "alerts.yaml")}
    command = [str(COMMAND), "load-test", "--url", url, "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.mark.faults
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


def test_it_stops_and_fails_once_somebody_in_production_has_v2(app: Any) -> None:
    requests = Semaphore(0)

    class AnsweringHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.release()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the protocol's name

    with app.app_context(), transaction() as session:
        now = datetime.now(UTC)
        rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "Planned."))

    def expose() -> None:
        requests.acquire()
        requests.acquire()
        with app.app_context(), transaction() as session:
            found = rollouts.find(session, FLAG)
            moved = replace(found, version=2, position=Position(1, 0))
            assert rollout_store.compare_and_set(session, moved, expected_version=1)

    with ThreadingHTTPServer(("127.0.0.1", 0), AnsweringHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        Thread(target=expose, daemon=True).start()
        with app.app_context():
            url = f"http://127.0.0.1:{server.server_port}"
            found = runner.run(url, per_second=10, seconds=600, actor="alice")
        server.shutdown()
    assert found.shortfalls[0] == runner.STOPPED
    assert found.requests < 6000
    with app.app_context(), read_only() as session:
        assert (audit.latest(session, subject=runner.SUBJECT, limit=1)[0].after or {})["passed"] is False
        assert load_test_check(session, rollouts.find(session, FLAG), "30", datetime.now(UTC)).passed is False


def test_it_is_refused_where_nothing_answers(app: Any) -> None:
    with app.app_context(), pytest.raises(runner.LoadTestRefused, match="Nothing answers at http"):
        runner.run("http://127.0.0.1:9", per_second=1, seconds=1, actor="alice")
    with app.app_context(), read_only() as session:
        assert [each for each in tokens.list_tokens(session) if each.revoked_at is None] == []
        assert count_users(session) == 0


@pytest.mark.parametrize("url", ["127.0.0.1:9", "http://[x", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_it_is_refused_before_it_makes_anything_where_the_address_is_none(app: Any, url: str) -> None:
    with app.app_context(), pytest.raises(runner.LoadTestRefused, match="is no address"):
        runner.run(url, per_second=1, seconds=1, actor="alice")
    with app.app_context(), read_only() as session:
        assert tokens.list_tokens(session) == []


def test_another_server_is_no_failed_load_test(app: Any) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:  # it knows no method, and answers 501
        Thread(target=other.serve_forever, daemon=True).start()
        with app.app_context(), pytest.raises(runner.LoadTestRefused, match="answers 501"):
            runner.run(f"http://127.0.0.1:{other.server_port}", per_second=1, seconds=1, actor="alice")
        other.shutdown()
    with app.app_context(), read_only() as session:
        assert audit.latest(session, subject=runner.SUBJECT, limit=1) == []


@pytest.mark.faults
def test_one_that_is_interrupted_ends_soon_without_a_token_or_a_result(tmp_path: Path) -> None:
    asked = Semaphore(0)

    class AnsweringHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.release()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the protocol's name

    environment = {**os.environ, "INSTANCE_DIR": str(tmp_path), "ALERTS_FILE": str(ROOT / "alerts.yaml")}
    subprocess.run(
        [str(COMMAND), "db", "upgrade"], env=environment, capture_output=True, check=True, timeout=PATIENCE_SECONDS
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), AnsweringHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        command = [str(COMMAND), "load-test", "--url", url, "--rate", "2", "--seconds", "600"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as begun:
            try:
                assert asked.acquire(timeout=PATIENCE_SECONDS)
                assert asked.acquire(timeout=PATIENCE_SECONDS)
                begun.send_signal(signal.SIGINT)
                begun.communicate(timeout=PATIENCE_SECONDS)
            finally:
                begun.kill()
                server.shutdown()
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, background=False)
    with application(settings) as app, app.app_context(), read_only() as session:
        assert begun.returncode != 0
        assert [each.revoked_at is None for each in tokens.list_tokens(session)] == [False]
        assert audit.latest(session, subject=runner.SUBJECT, limit=1) == []
