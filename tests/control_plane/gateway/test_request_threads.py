"""What waits takes its thread with it; whoever comes after that gets another one."""

import threading
import time
from functools import partial

import pytest

from control_plane.gateway.request_threads import RequestThreads

SECONDS = 10.0


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


def blocked(threads: RequestThreads, gate: threading.Event, number: int) -> None:
    """Take `number` threads until `gate` opens."""
    for _ in range(number):
        begun = threading.Event()

        def work(begun: threading.Event = begun) -> None:
            begun.set()
            gate.wait(SECONDS)

        threads.submit(work)
        assert begun.wait(SECONDS)


def until_open(gate: threading.Event) -> None:
    gate.wait(SECONDS)


def test_work_is_done_by_the_thread_that_had_the_last() -> None:
    threads, seen = RequestThreads(8), list[int]()
    for _ in range(20):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            seen.append(threading.get_ident())
            done.set()

        threads.submit(work)
        assert done.wait(SECONDS)
        time.sleep(0.005)  # its thread looks for more work meanwhile
    assert len(set(seen)) <= 3


def test_work_waits_while_the_few_are_at_work_and_is_done_in_order(gate: threading.Event) -> None:
    threads, seen, done = RequestThreads(8, few=1), list[int](), threading.Event()
    blocked(threads, gate, 1)
    for each in range(5):
        threads.submit(partial(seen.append, each))
    threads.submit(done.set)
    assert not seen
    gate.set()
    assert done.wait(SECONDS)
    assert seen == [0, 1, 2, 3, 4]


def test_whoever_has_waited_too_long_gets_a_thread_of_their_own(gate: threading.Event) -> None:
    threads, done = RequestThreads(8, few=2), threading.Event()
    blocked(threads, gate, 2)
    threads.submit(done.set)
    threads.start_overdue(time.monotonic())
    assert not done.wait(0.02)
    threads.start_overdue(time.monotonic() + 1)
    assert done.wait(SECONDS)
    gate.set()


def test_there_are_never_more_than_so_many(gate: threading.Event) -> None:
    threads, done = RequestThreads(3, few=1), threading.Event()
    blocked(threads, gate, 1)
    for _ in range(2):
        threads.submit(partial(until_open, gate))
    threads.submit(done.set)
    threads.start_overdue(time.monotonic() + 1)
    assert not done.wait(0.1)
    gate.set()
    assert done.wait(SECONDS)


def test_the_watch_starts_threads_by_itself(gate: threading.Event) -> None:
    threads, done = RequestThreads(8, few=1), threading.Event()
    threads.watch()
    blocked(threads, gate, 1)
    threads.submit(done.set)
    assert done.wait(SECONDS)
    gate.set()
