"""Workers that end soon after their start end no others, until none can be kept alive."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from granian.constants import Interfaces
from granian.server.mp import WorkerProcess

from control_plane.gateway.respawns import PERIOD_SECONDS, RESPAWNS_MAX, Respawns
from control_plane.server import Server
from tests.serving import Served, serving

GRANIAN_SECONDS = 5.5
LIVES_SECONDS = 1.0
KILLS = 3
PATIENCE_SECONDS = 60


class Worker(WorkerProcess):
    """A worker of Granian's server that starts no process."""

    def __init__(self, idx: int, *, alive: bool = True) -> None:
        self.idx = idx
        self._alive = alive

    def start(self) -> None:
        self._alive = True

    def is_alive(self) -> bool:
        return self._alive

    def terminate(self) -> None:
        self._alive = False

    def join(self, timeout: float | None = None) -> None:  # noqa: ARG002 - as its base class has it
        assert not self._alive


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of two workers, which starts no process."""
    server = Server("none:none", workers=2, interface=Interfaces.WSGI)
    monkeypatch.setattr(server, "_spawn_worker", lambda idx, **_: Worker(idx))
    return server


def respawned(record: Respawns, worker: int, at: float) -> None:
    """Record a respawn as Granian does: it forgets all others first."""
    record.clear()
    record[worker] = at


def gives_up(record: Respawns, worker: int, at: float) -> bool:
    """Granian's own question."""
    return at - record.get(worker, 0) <= GRANIAN_SECONDS


@pytest.mark.parametrize(("workers", "kills"), [(1, RESPAWNS_MAX - 1), (2, 100)])
def test_a_worker_that_ends_again_and_again_ends_no_other(workers: int, kills: int) -> None:
    now = 1000.0
    record = Respawns(workers, lambda: now)
    for _ in range(kills):
        now += 1
        assert not gives_up(record, 0, now)
        respawned(record, 0, now)
    assert not gives_up(record, 0, now + 1)


@pytest.mark.parametrize(("pause", "hopeless"), [(1.0, True), (PERIOD_SECONDS / RESPAWNS_MAX + 1, False)])
def test_when_no_worker_can_be_kept_alive_the_server_ends(pause: float, hopeless: bool) -> None:
    now = 1000.0
    record = Respawns(2, lambda: now)
    for _ in range(RESPAWNS_MAX):
        now += pause
        for worker in range(2):
            respawned(record, worker, now)
    assert gives_up(record, 1, now + 1) == hopeless


def test_one_that_ended_while_granian_emptied_its_list_is_started_again_too(server: Server) -> None:
    server.wrks = [Worker(0, alive=False), Worker(1, alive=False)]
    server._respawn_workers([0], None, None)
    assert [each.is_alive() for each in server.wrks if isinstance(each, Worker)] == [True, True]


def test_one_that_was_started_again_before_its_end_was_noted_goes_on(server: Server) -> None:
    before = [Worker(0), Worker(1, alive=False)]
    server.wrks = [*before]
    kept = before[0]
    server._respawn_workers([0, 1], None, None)
    assert server.wrks[0] is kept
    assert kept.is_alive()


def test_one_that_ends_meanwhile_is_not_waited_for(server: Server) -> None:
    server.wrks = [Worker(0, alive=False), Worker(1)]
    server.interrupt_children.append(1)
    server._respawn_workers([0], None, None)
    assert server.main_loop_interrupt.is_set()


def test_workers_that_are_replaced_on_request_need_not_have_ended(server: Server) -> None:
    before = [Worker(0), Worker(1)]
    server.wrks = [*before]
    first = before[0]
    server._respawn_workers([0], None, None, delay=0.001)
    assert server.wrks[0] is not first
    assert not first.is_alive()


@pytest.mark.faults
def test_a_worker_that_is_killed_soon_after_each_start_is_started_again(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for _ in range(KILLS):
            (worker,) = until_one(served)
            time.sleep(LIVES_SECONDS)
            os.kill(worker, signal.SIGKILL)
            while served.workers == [worker]:
                time.sleep(0.01)
        until_one(served)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            with suppress(OSError):
                assert requests.get(f"{served.url}/healthz", timeout=5).status_code == 200
                break
            time.sleep(0.1)
        else:
            raise AssertionError(served.log.read_text())


def until_one(served: Served) -> list[int]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while len(found := served.workers) != 1:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return found
