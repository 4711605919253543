"""Checks of addresses: right, wrong, elsewhere, slow; asked by the leader, read by the gate, unknown once it is old."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import HttpCheck, PhaseGates
from control_plane.core.phases import Phase, Plan
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import http_checks
from control_plane.rollouts.gate_registry import plan_gates

FLAG = "SEARCH"


class Handler(BaseHTTPRequestHandler):
    """A server whose answer depends on the path."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/slow":
            for byte in b"HTTP/1.1 200 OK\r\n" * 20:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
            return
        self.send_response({"/right": 200, "/wrong": 503, "/elsewhere": 302}[self.path])
        self.send_header("Location", "http://127.0.0.1:1/right")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server, and little patience with it."""
    monkeypatch.setattr(http_checks, "TIMEOUT_SECONDS", 0.5)
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def make(now: datetime, *urls: str) -> None:
    checks = tuple(HttpCheck(url.rpartition("/")[2], url) for url in urls)
    gates = PhaseGates(http_checks=checks)
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (10, 100), timedelta(0), gates=gates)
    with transaction() as session:
        rollouts.plan(session, FLAG, Plan((phase,), now), ChangeContext(now, "alice", "Planned."))


def gates(now: datetime) -> dict[str, GateResult]:
    with read_only() as session:
        return {gate.name: gate for gate in plan_gates(session, rollouts.find(session, FLAG), now)}


def test_what_an_address_answers_opens_and_closes_the_gate(app: Flask, now: datetime, address: str) -> None:
    with app.app_context():
        make(now, *(f"{address}/{path}" for path in ("right", "wrong", "elsewhere", "slow")))
        assert {gate.status for gate in gates(now).values()} == {GateStatus.UNKNOWN}
        http_checks.poll(now)
        found = gates(now + timedelta(seconds=20))
    assert {name: gate.status for name, gate in found.items()} == {
        "check right": GateStatus.OPEN,
        "check wrong": GateStatus.CLOSED,
        "check elsewhere": GateStatus.CLOSED,
        "check slow": GateStatus.CLOSED,
    }
    assert found["check wrong"].reason == f"{address}/wrong answered 503 instead of 200."
    assert "a redirect is not followed" in found["check elsewhere"].reason
    assert "gave no answer within" in found["check slow"].reason
    assert found["check right"].evidence["age_seconds"] == 20


def test_an_answer_that_is_old_is_none(app: Flask, now: datetime, address: str) -> None:
    with app.app_context():
        make(now, f"{address}/right")
        http_checks.poll(now)
        assert gates(now + timedelta(minutes=5))["check right"].status is GateStatus.OPEN
        assert gates(now + timedelta(minutes=5, seconds=1))["check right"].status is GateStatus.UNKNOWN
        assert gates(now - timedelta(minutes=2))["check right"].status is GateStatus.UNKNOWN


def test_nobody_is_asked_for_a_rollout_that_is_rolled_back(app: Flask, now: datetime, address: str) -> None:
    with app.app_context():
        make(now, f"{address}/right")
        with transaction() as session:
            rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "Errors."))
        http_checks.poll(now)
    assert Handler.asked == []


def test_an_address_where_nobody_listens_closes_it(app: Flask, now: datetime) -> None:
    with app.app_context():
        make(now, "http://127.0.0.1:1/right")
        http_checks.poll(now)
        assert "can't be reached" in gates(now)["check right"].reason


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "https://",
        "https:///path",
        "http://host:port/",
        "http://a b/",
        "https://user:secret@host/",
        "javascript:alert(1)",
        "http://[::1/",
        "http://host/\n",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    check = HttpCheck("a", "https://host/path")
    assert not list(check.errors())
    assert list(replace(check, url=url).errors())
