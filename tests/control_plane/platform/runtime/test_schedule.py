"""The schedule: due work shares a thread, what hangs holds up no other work, and nothing begins after the end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform.runtime import schedule
from control_plane.platform.runtime.schedule import PULSE_SECONDS, Schedule, Work

SECONDS = 30.0


@contextmanager
def running(*calls: Callable[[], None], seconds: float = PULSE_SECONDS) -> Iterator[Schedule]:
    made = Schedule()
    for number, call in enumerate(calls):
        made.add(Work(f"work {number}", seconds, call, time.monotonic()))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@given(seconds=st.floats(0.01, 3600), due=st.floats(0, 1e6), late=st.floats(0, 1e5))
def test_postponed_work_is_due_after_now_within_one_interval_and_in_step(
    seconds: float, due: float, late: float
) -> None:
    work = Work("work", seconds, lambda: None, due)
    work.postpone(due + late)
    assert due + late - seconds * 1e-3 <= work.due <= due + late + seconds * 1.001
    intervals = (work.due - due) / seconds
    assert abs(intervals - round(intervals)) < 1e-3


def test_work_that_is_due_together_is_done_by_one_thread_in_its_order() -> None:
    done, ready = list[tuple[int, str]](), threading.Event()

    def call(number: int) -> Callable[[], None]:
        def note() -> None:
            done.append((number, threading.current_thread().name))
            if len(done) >= 9:
                ready.set()

        return note

    with running(*map(call, range(3))):
        assert ready.wait(SECONDS)
    assert [number for number, _ in done[:9]] == [0, 1, 2] * 3
    assert len({name for _, name in done}) == 1


def test_work_that_hangs_is_begun_once_and_holds_up_no_other() -> None:
    release, others, hung = threading.Event(), threading.Semaphore(0), list[int]()

    def hang(number: int) -> Callable[[], None]:
        def wait() -> None:
            hung.append(number)
            release.wait(SECONDS)

        return wait

    with running(*map(hang, range(5)), others.release):
        for _ in range(3):
            assert others.acquire(timeout=SECONDS)
        assert sorted(hung) == [0, 1, 2, 3, 4]
        release.set()


def test_as_much_work_may_hang_as_there_are_threads() -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        release.wait(SECONDS)

    with running(*[hang] * (schedule.THREADS_MAX + 1)):
        for _ in range(schedule.THREADS_MAX):
            assert begun.acquire(timeout=SECONDS)
        release.set()


def test_the_end_waits_for_what_is_under_way_and_begins_nothing() -> None:
    begun, release, done = threading.Event(), threading.Event(), list[str]()

    def slow() -> None:
        begun.set()
        release.wait(SECONDS)
        done.append("slow")

    made = Schedule()
    for name, call in (("slow", slow), ("next", lambda: done.append("next"))):
        made.add(Work(name, SECONDS, call, time.monotonic()))
    made.start()
    assert begun.wait(SECONDS)
    ending = threading.Thread(target=made.stop)
    ending.start()
    while made._due:  # the end lets go of what nobody has begun
        time.sleep(0.01)
    release.set()
    ending.join(SECONDS)
    assert done == ["slow"]


def test_what_is_more_frequent_than_the_pulse_or_stands_alone_has_a_thread_of_its_own() -> None:
    names, begun = set[str](), threading.Semaphore(0)

    def note() -> None:
        names.add(threading.current_thread().name)
        begun.release()

    made = Schedule()
    made.add(Work("frequent", PULSE_SECONDS / 10, note, time.monotonic()))
    made.add(Work("heartbeat", SECONDS, note, time.monotonic(), is_alone=True))
    made.start()
    while names != {"frequent", "heartbeat"}:
        assert begun.acquire(timeout=SECONDS)
    made.stop()
