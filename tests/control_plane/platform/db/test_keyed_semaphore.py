"""Permits of keys: one key never takes more than its own, nobody is passed over, and nothing is left behind."""

import threading
import time
from collections import Counter
from functools import partial

import pytest

from control_plane.platform.db.keyed_semaphore import KeyBusyError, KeyedSemaphore
from tests.waiting import PATIENCE_SECONDS, wait_until


class KeyHolders:
    """Threads that hold a key until they may leave."""

    def __init__(self, semaphore: KeyedSemaphore) -> None:
        self.semaphore, self.leave = semaphore, threading.Event()
        self.inside, self.refused = list[int](), list[int]()
        self._threads = list[threading.Thread]()

    def enter(self, key: str, number: int) -> None:
        def hold() -> None:
            try:
                with self.semaphore.hold(key):
                    self.inside.append(number)
                    assert self.leave.wait(PATIENCE_SECONDS)
            except KeyBusyError:
                self.refused.append(number)

        self._threads.append(threading.Thread(target=hold))
        self._threads[-1].start()

    def waiting(self, key: str) -> int:
        return len(self.semaphore._keys[key].waiters)

    def has_inside(self, number: int) -> bool:
        return len(self.inside) == number

    def has_waiting(self, key: str, number: int) -> bool:
        return self.waiting(key) == number

    def end(self) -> None:
        self.leave.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        assert not self.semaphore._keys


def test_others_go_on_while_one_key_is_held() -> None:
    holders = KeyHolders(KeyedSemaphore(2, most_waiting=10, max_wait_seconds=PATIENCE_SECONDS))
    for number in range(2):
        holders.enter("busy", number)
        wait_until(partial(holders.has_inside, number + 1))
    for number in range(2, 5):
        holders.enter("busy", number)
        wait_until(partial(holders.has_waiting, "busy", number - 1))
    holders.enter("other", 9)
    wait_until(lambda: len(holders.inside) == 3)
    assert holders.inside == [0, 1, 9]
    holders.end()
    assert sorted(holders.inside) == [0, 1, 2, 3, 4, 9]


def test_who_would_be_one_too_many_is_refused_at_once() -> None:
    holders = KeyHolders(KeyedSemaphore(1, most_waiting=1, max_wait_seconds=PATIENCE_SECONDS))
    holders.enter("busy", 0)
    wait_until(lambda: holders.inside == [0])
    holders.enter("busy", 1)
    wait_until(lambda: holders.waiting("busy") == 1)
    with pytest.raises(KeyBusyError), holders.semaphore.hold("busy"):
        pass
    holders.end()
    assert (holders.inside, holders.refused) == ([0, 1], [])


def test_whoever_waits_too_long_is_refused_and_leaves_no_trace() -> None:
    holders = KeyHolders(KeyedSemaphore(1, most_waiting=5, max_wait_seconds=0.01))
    holders.enter("busy", 0)
    wait_until(lambda: holders.inside == [0])
    holders.enter("busy", 1)
    wait_until(lambda: holders.refused == [1])
    assert holders.waiting("busy") == 0
    holders.end()


def test_an_error_within_gives_the_permit_back() -> None:
    semaphore = KeyedSemaphore(1, most_waiting=0, max_wait_seconds=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="within"), semaphore.hold("key"):
            raise ValueError("within")
    assert not semaphore._keys


@pytest.mark.parametrize("max_wait_seconds", [0.0001, 0.001, PATIENCE_SECONDS])
def test_in_a_crowd_no_key_is_held_more_often_than_allowed(max_wait_seconds: float) -> None:
    semaphore = KeyedSemaphore(3, most_waiting=6, max_wait_seconds=max_wait_seconds)
    counter, held, most, done = threading.Lock(), Counter[str](), Counter[str](), Counter[bool]()

    def work(thread: int) -> None:
        for number in range(200):
            key = str((thread + number) % 2)
            try:
                with semaphore.hold(key):
                    with counter:
                        held[key] += 1
                        most[key] = max(most[key], held[key])
                    time.sleep(0.0002 * (number % 3))
                    with counter:
                        held[key] -= 1
                        done[True] += 1
            except KeyBusyError:
                with counter:
                    done[False] += 1

    threads = [threading.Thread(target=work, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most.values()) <= 3
    assert sum(done.values()) == 3200
    assert not semaphore._keys
