"""Workers that end soon after their start end no others, until none can be kept alive."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from control_plane.gateway.respawns import PERIOD_SECONDS, RESPAWNS_MAX, Respawns
from tests.faults.crashing import children
from tests.serving import serving

GRANIAN_SECONDS = 5.5
LIVES_SECONDS = 1.0
KILLS = 3
PATIENCE_SECONDS = 60


def respawned(record: Respawns, worker: int, at: float) -> None:
    """As Granian does: it forgets all others first."""
    record.clear()
    record[worker] = at


def looks_hopeless(record: Respawns, worker: int, at: float) -> bool:
    """Granian's own question."""
    return at - record.get(worker, 0) <= GRANIAN_SECONDS


@pytest.mark.parametrize(("workers", "kills"), [(1, RESPAWNS_MAX - 1), (2, 100)])
def test_a_worker_that_ends_again_and_again_ends_no_other(workers: int, kills: int) -> None:
    now = 1000.0
    record = Respawns(workers, lambda: now)
    for _ in range(kills):
        now += 1
        assert not looks_hopeless(record, 0, now)
        respawned(record, 0, now)
    assert not looks_hopeless(record, 0, now + 1)


@pytest.mark.parametrize(("pause", "hopeless"), [(1.0, True), (PERIOD_SECONDS / RESPAWNS_MAX + 1, False)])
def test_when_no_worker_can_be_kept_alive_the_server_ends(pause: float, hopeless: bool) -> None:
    now = 1000.0
    record = Respawns(2, lambda: now)
    for _ in range(RESPAWNS_MAX):
        now += pause
        for worker in range(2):
            respawned(record, worker, now)
    assert looks_hopeless(record, 1, now + 1) == hopeless


def test_a_worker_that_is_killed_soon_after_each_start_is_started_again(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for _ in range(KILLS):
            (worker,) = until_one(served.process.pid)
            time.sleep(LIVES_SECONDS)
            os.kill(worker, signal.SIGKILL)
            while children(served.process.pid) == [worker]:
                time.sleep(0.01)
        until_one(served.process.pid)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            with suppress(OSError):
                assert requests.get(f"{served.url}/healthz", timeout=5).status_code == 200
                break
            time.sleep(0.1)
        else:
            raise AssertionError(served.log.read_text())


def until_one(server: int) -> list[int]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while len(found := children(server)) != 1:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found
