"""Serving for real: a first start, a second one, a taken port, and a stop that ends open streams."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving import COMMAND, ROOT, serving

pytestmark = pytest.mark.faults

STOP_SECONDS_MAX = 30
"""Far above what is promised, since a test machine may be busy; `make bench` measures the promise."""


def test_the_first_start_shows_a_password_once_and_the_second_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        first = served.log.read_text()
    with serving(tmp_path) as served:
        second = served.log.read_text()
    assert "Sign in   owner / " in first
    assert "ENABLE_CREDITS_V2: Development and staging, 100 %, running" in first
    assert "Sign in" not in second
    assert "ENABLE_CREDITS_V2: Development and staging, 100 %, running" in second


def test_a_log_of_json_is_nothing_else_and_holds_no_password(tmp_path: Path) -> None:
    with serving(tmp_path, LOG_FORMAT="json") as served:
        first = served.log.read_text()
        settings = {"PATH": os.environ["PATH"], "INSTANCE_DIR": str(tmp_path)}
        subprocess.run([COMMAND, "account", "password", "owner"], env=settings, capture_output=True, check=True)
    events = [json.loads(line) for line in served.log.read_text().splitlines()]
    (start,) = [each for each in events if each["event"] == "server.starting"]
    assert start["page"] == served.url
    assert start["sign_in"] == "`rollout account password owner` prints a password for the first account, owner"
    assert "owner / " not in first


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        settings = {
            "PATH": os.environ["PATH"],
            "INSTANCE_DIR": str(tmp_path / "other"),
            "ALERTS_FILE": str(ROOT / "alerts.yaml"),
            "PORT": str(urlsplit(served.url).port),
        }
        refused = subprocess.run(
            [COMMAND, "serve"], env=settings, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
        )
    assert refused.returncode == 1
    assert "set PORT or HOST to another address" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_stop_ends_open_connections_and_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path) as served, ExitStack() as held:
        for _ in range(3):
            connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=STOP_SECONDS_MAX)
            held.enter_context(closing(connection))
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(STOP_SECONDS_MAX) == 0
        assert "Traceback" not in served.log.read_text()


def test_the_guard_beats_while_it_is_served(tmp_path: Path) -> None:
    with serving(tmp_path):
        seen: set[str] = set()
        give_up = time.monotonic() + 20
        while len(seen) < 2 and time.monotonic() < give_up:
            with sqlite3.connect(f"file:{tmp_path}/rollout.db?mode=ro", uri=True) as connection:
                rows = connection.execute("SELECT expires_at FROM lease WHERE name = 'guard'").fetchall()
            seen.update(row[0] for row in rows)
            threading.Event().wait(0.2)
        assert len(seen) == 2
