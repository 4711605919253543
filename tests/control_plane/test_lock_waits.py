"""A stop that meets somebody else's lock: it waits, says who holds it, and is done once the lock is gone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from control_plane.platform.runtime import cli_support
from tests.control_plane.conftest import Run

pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def console_url(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database whose locks are waited for as long as a test can."""
    monkeypatch.setattr(cli_support, "PAUSE_SECONDS", 0.0)
    return postgresql_url


@contextmanager
def held(url: str) -> Iterator[threading.Event]:
    """Hold a lock on every rollout until the event is set; at the latest until the block ends."""
    with psycopg.connect(url, application_name="somebody") as connection:
        connection.execute("LOCK TABLE rollout IN EXCLUSIVE MODE")
        release = threading.Event()

        def wait() -> None:
            release.wait(60)
            connection.rollback()

        holder = threading.Thread(target=wait)
        holder.start()
        try:
            yield release
        finally:
            release.set()
            holder.join()


def test_a_rollback_waits_for_a_lock_and_says_who_holds_it(
    rollout: Run, console_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout("plan", DATABASE_URL=console_url)
    with held(console_url) as release:
        monkeypatch.setattr(cli_support, "_pause", release.set)
        done = rollout("rollback", "--reason", "v2 is wrong.", DATABASE_URL=console_url)
    assert done.returncode == 0
    assert "rolled back" in done.stdout
    assert "Waiting. A lock is held by process " in done.stderr
    assert "(somebody)" in done.stderr


def test_a_lock_that_stays_is_named_as_the_reason(
    rollout: Run, console_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout("plan", DATABASE_URL=console_url)
    monkeypatch.setattr(cli_support, "PATIENCE_SECONDS", 0.0)
    with held(console_url):
        refused = rollout("rollback", "--reason", "v2 is wrong.", DATABASE_URL=console_url)
    assert refused.returncode == 1
    assert "Nothing was changed. A lock is held by process " in refused.stderr
    assert "DATABASE_URL" not in refused.stderr
