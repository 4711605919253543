"""The PostgreSQL of the tests is real, private, and never outlives them."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import postgres

ROOT = Path(__file__).parents[1]
GIVE_UP_SECONDS = 20
OWN_SERVER = """
import sys
from tests import postgres
with postgres.running() as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_the_server_is_gone_after_the_tests_however_they_ended(
    end: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    command = [sys.executable, "-c", OWN_SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        url = tests.stdout.readline().strip()
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        tests.send_signal(end)
    assert _is_gone(Path(row[0]))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_nobody_enters_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with postgres.running() as url:
        parts = urlsplit(url)
        stranger = parts._replace(netloc=f"{parts.username}:guess@{parts.hostname}:{parts.port}").geturl()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stranger)


def test_a_copied_database_holds_what_its_template_held_and_leaves_with_its_block(postgres_server: str) -> None:
    with postgres.database(postgres_server) as template:
        with psycopg.connect(template) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        name = urlsplit(template).path[1:]
        with postgres.database(postgres_server, template=name) as copy, psycopg.connect(copy) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy)


def _is_gone(directory: Path) -> bool:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while directory.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    return not directory.exists()
