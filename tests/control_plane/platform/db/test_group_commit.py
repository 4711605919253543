"""Requests that share a transaction: each gets its own answer or its own error, and the lead never gets lost."""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.group_commit import GroupCommit
from tests.waiting import PATIENCE_SECONDS, wait_until

Groups = GroupCommit[int, str]


class Database:
    """A database that answers numbers by words, as long as the door is open, and knows how it was asked."""

    def __init__(
        self, *, fails: Sequence[int] = (), leaves_open: Sequence[int] = (), lost: Exception | None = None
    ) -> None:
        self.alone, self.together = list[int](), list[list[int]]()
        self.door = threading.Event()
        self._fails, self._leaves_open, self._lost = fails, leaves_open, lost

    def run_one(self, number: int) -> str:
        assert self.door.wait(PATIENCE_SECONDS)
        self.alone.append(number)
        if number in self._fails:
            raise ValueError(number)
        return str(number)

    def run_batch(self, numbers: Sequence[int]) -> Sequence[str | None]:
        self.together.append(list(numbers))
        if self._lost or set(numbers) & set(self._fails):
            raise self._lost or OSError("The connection is lost.")
        return [None if number in self._leaves_open else str(number) for number in numbers]


def ask_at_once(groups: Groups, database: Database, count: int) -> dict[int, object]:
    """Ask 0, let the others come while it is answered, and return the answer or the error of each."""
    seen: dict[int, object] = {}

    def ask(number: int) -> None:
        try:
            seen[number] = groups.run(number)
        except (ValueError, SystemExit) as error:
            seen[number] = error.args

    threads = [threading.Thread(target=ask, args=[number]) for number in range(count)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(partial(are_queued, groups, number))
    database.door.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    return seen


def are_queued(groups: Groups, number: int) -> bool:
    """Return whether so many wait while the first one leads."""
    return len(groups._waiters) == number and groups._leaders == 1


def groups_of(database: Database, **options: Any) -> Groups:
    return GroupCommit(database.run_one, database.run_batch, **{"max_wait_seconds": PATIENCE_SECONDS, **options})


def test_whoever_finds_nobody_asks_alone_and_at_once() -> None:
    database = Database()
    database.door.set()
    groups = groups_of(database)
    assert [groups.run(number) for number in (1, 2, 3)] == ["1", "2", "3"]
    assert (database.alone, database.together) == ([1, 2, 3], [])


def test_those_who_come_meanwhile_are_answered_together_in_their_order() -> None:
    database = Database()
    groups = groups_of(database, max_size=4)
    assert ask_at_once(groups, database, 8) == {number: str(number) for number in range(8)}
    assert database.together == [[1, 2, 3, 4], [5, 6, 7]]
    assert database.alone == [0]


def test_what_is_left_open_is_asked_alone() -> None:
    database = Database(leaves_open=[1, 3])
    assert ask_at_once(groups_of(database), database, 5) == {number: str(number) for number in range(5)}
    assert sorted(database.alone) == [0, 1, 3]


def test_whoever_has_waited_too_long_goes_ahead_with_those_behind() -> None:
    database, all_wait = Database(), threading.Event()
    groups = groups_of(database, max_wait_seconds=0)
    go_ahead = groups._lead_beside

    def go_ahead_when_all_wait(waiter: Any) -> None:
        assert all_wait.wait(PATIENCE_SECONDS)
        go_ahead(waiter)

    groups._lead_beside = go_ahead_when_all_wait  # type: ignore[method-assign]
    seen = list[str]()
    threads = [threading.Thread(target=lambda number=number: seen.append(groups.run(number))) for number in range(4)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(partial(are_queued, groups, number))
    all_wait.set()
    wait_until(lambda: len(seen) == 3)
    (batch,) = database.together  # led by whichever went first
    assert (sorted(batch), database.alone, sorted(seen)) == ([1, 2, 3], [], ["1", "2", "3"])
    wait_until(lambda: groups._leaders == 1)  # the first is still under way, alone
    database.door.set()
    threads[0].join(PATIENCE_SECONDS)
    assert (sorted(seen), groups._leaders) == (["0", "1", "2", "3"], 0)


@given(st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)), st.booleans(), st.integers(1, 12), st.integers(1, 5))
def test_each_meets_its_own_error_alone(
    fails: set[int], leaves_open: set[int], is_lost: bool, count: int, max_size: int
) -> None:
    database = Database(fails=sorted(fails), leaves_open=sorted(leaves_open), lost=OSError() if is_lost else None)
    groups = groups_of(database, max_size=max_size)
    seen = ask_at_once(groups, database, count)
    assert seen == {number: (number,) if number in fails else str(number) for number in range(count)}
    assert (len(groups._waiters), groups._leaders) == (0, 0)


@pytest.mark.parametrize(("lost", "has_traceback"), [(OSError(), True), (OperationalError("", None, OSError()), False)])
def test_an_outage_takes_one_line_of_the_log_and_a_defect_its_traceback(
    lost: Exception, has_traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(lost=lost)
    ask_at_once(groups_of(database), database, 3)
    (line,) = caplog.records
    assert bool(line.exc_info) is has_traceback


def test_a_thread_that_is_stopped_leaves_the_others_their_answers() -> None:
    class Stopped(Database):
        def run_batch(self, numbers: Sequence[int]) -> Sequence[str | None]:
            raise SystemExit(f"stopped at {numbers}")

    database = Stopped()
    groups = groups_of(database)
    seen = ask_at_once(groups, database, 4)
    assert seen == {0: "0", 1: ("stopped at [1, 2, 3]",), 2: "2", 3: "3"}
    assert not groups._leaders


@pytest.mark.parametrize("max_wait_seconds", [0.0, 0.0005, 0.05])
def test_in_a_crowd_nobody_is_forgotten(max_wait_seconds: float) -> None:
    database = Database(leaves_open=range(0, 4000, 7))
    database.door.set()
    groups = groups_of(database, max_size=5, max_wait_seconds=max_wait_seconds)
    wrong = list[int]()

    def ask(first: int) -> None:
        wrong.extend(number for number in range(first, 4000, 16) if groups.run(number) != str(number))

    threads = [threading.Thread(target=ask, args=[first]) for first in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert (wrong, len(groups._waiters), groups._leaders) == ([], 0, 0)


@pytest.mark.parametrize("is_in_turn", [False, True])
def test_whoever_is_interrupted_while_waiting_keeps_no_turn(is_in_turn: bool) -> None:
    """The interrupt reaches the second when its patience ends: still in the queue, or with the turn in its hands."""
    database, is_impatient, others_wait = Database(), threading.Event(), threading.Event()
    groups = groups_of(database, max_wait_seconds=0)
    seen: dict[int, object] = {}

    def ask(number: int) -> None:
        try:
            seen[number] = groups.run(number)
        except KeyboardInterrupt:
            seen[number] = "interrupted"

    go_ahead = groups._lead_beside

    def interrupted(waiter: Any) -> None:
        is_impatient.set()
        assert others_wait.wait(PATIENCE_SECONDS)
        if is_in_turn:
            go_ahead(waiter)
        raise KeyboardInterrupt

    groups._lead_beside = interrupted  # type: ignore[method-assign]
    threads = [threading.Thread(target=ask, args=[number]) for number in range(3)]
    threads[0].start()
    wait_until(lambda: groups._leaders == 1)
    threads[1].start()
    assert is_impatient.wait(PATIENCE_SECONDS)
    groups._max_wait_seconds = PATIENCE_SECONDS
    threads[2].start()
    wait_until(lambda: len(groups._waiters) == 2)
    others_wait.set()
    wait_until(lambda: 1 in seen)
    database.door.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert (seen, groups._leaders, len(groups._waiters)) == ({0: "0", 1: "interrupted", 2: "2"}, 0, 0)
