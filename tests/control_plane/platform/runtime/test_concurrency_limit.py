"""A few at a time: who has to wait, and who no longer counts."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from flask import Flask

from control_plane.platform.fair_semaphore import AdaptiveLimit, FairSemaphore
from control_plane.platform.runtime.concurrency_limit import LIMITED_PATHS, ConcurrencyLimit

PATIENCE_SECONDS = 10


class Office:
    """An application that answers when it is told to, and notes how many it is dealing with at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.may_answer = threading.Event()
        self.reached = threading.Event()
        """Three were inside at once."""
        self._counting = threading.Lock()

    def __call__(self, _environ: Any, _start_response: Any) -> Iterable[bytes]:
        with self._counting:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == 3:
                self.reached.set()
        assert self.may_answer.wait(PATIENCE_SECONDS)
        with self._counting:
            self.inside -= 1
        return iter([b"a", b"b"])


def test_no_more_are_inside_than_there_are_places_and_all_get_their_turn() -> None:
    office = Office()
    turnstile, answers = ConcurrencyLimit(office, 2), list[bytes]()
    callers = [
        threading.Thread(target=lambda: answers.append(b"".join(turnstile({}, lambda *_: None)))) for _ in "12345"
    ]
    for caller in callers:
        caller.start()
    office.may_answer.set()
    for caller in callers:
        caller.join(PATIENCE_SECONDS)
    assert (answers, office.inside) == ([b"ab"] * 5, 0)
    assert office.most <= 2


def test_fewer_are_let_in_to_a_narrow_address_and_nobody_else_waits_for_them() -> None:
    office = Office()
    turnstile, answers = ConcurrencyLimit(office, 9, {"/narrow"}, FairSemaphore(1, PATIENCE_SECONDS)), list[bytes]()

    def call(path: str) -> None:
        answers.append(b"".join(turnstile({"PATH_INFO": path}, lambda *_: None)))

    callers = [threading.Thread(target=call, args=[path]) for path in ["/narrow"] * 4 + ["/wide"] * 2]
    for caller in callers:
        caller.start()
    assert office.reached.wait(PATIENCE_SECONDS)
    office.may_answer.set()
    for caller in callers:
        caller.join(PATIENCE_SECONDS)
    assert (answers, office.inside) == ([b"ab"] * 6, 0)
    assert office.most == 3


def test_places_are_handed_on_in_the_order_of_coming() -> None:
    line, order = FairSemaphore(1, PATIENCE_SECONDS), list[int]()
    line.enter()

    def stand(number: int) -> None:
        line.enter()
        order.append(number)
        line.leave()

    callers = [threading.Thread(target=stand, args=[number]) for number in range(5)]
    for number, caller in enumerate(callers, start=1):
        caller.start()
        while line.waiting < number:
            time.sleep(0.001)
    line.leave()
    for caller in callers:
        caller.join(PATIENCE_SECONDS)
    assert order == [0, 1, 2, 3, 4]


def test_who_has_waited_too_long_goes_ahead_and_leaves_no_trace() -> None:
    line = FairSemaphore(1, 0.001)
    assert line.enter()
    assert not line.enter()
    assert line.waiting == 0
    line.leave()
    assert line.enter(), "the place was handed on to nobody"


def test_a_line_that_grows_lets_in_who_waits_and_one_that_shrinks_turns_nobody_out() -> None:
    line, inside = FairSemaphore(1, PATIENCE_SECONDS), list[int]()
    assert line.enter()

    def stand(number: int) -> None:
        assert line.enter()
        inside.append(number)

    callers = [threading.Thread(target=stand, args=[number]) for number in range(3)]
    for number, caller in enumerate(callers, start=1):
        caller.start()
        while line.waiting < number:
            time.sleep(0.001)
    line.resize(3)
    for caller in callers[:2]:
        caller.join(PATIENCE_SECONDS)
    assert (sorted(inside), line.waiting) == ([0, 1], 1)
    line.resize(1)
    line.leave()
    line.leave()
    assert line.waiting == 1, "one is inside still, and that is all there may be"
    line.leave()
    callers[2].join(PATIENCE_SECONDS)
    assert (inside[-1], line.waiting) == (2, 0)


def test_the_breadth_goes_by_the_quickest_of_the_latest() -> None:
    breadth = AdaptiveLimit(one_more_seconds=0.001, most=4, latest=3)

    def after(*milliseconds: float) -> list[int | None]:
        return [breadth.observe(each / 1000) for each in milliseconds]

    assert after(9, 0.3, 9) == [None, None, 1], "what waits for others is no reason for more of them"
    assert after(2.5, 9, 9) == [None, None, 3], "the quickest of before is forgotten"
    assert after(99, 99, 99) == [None, None, 4]


def test_an_answer_that_is_still_being_sent_takes_no_place() -> None:
    office = Office()
    office.may_answer.set()
    turnstile = ConcurrencyLimit(office, 1)
    stream = iter(turnstile({}, lambda *_: None))
    assert next(stream) == b"a"
    assert b"".join(turnstile({}, lambda *_: None)) == b"ab"
    assert next(stream) == b"b"


def test_a_failure_gives_its_place_back() -> None:
    def broken(_environ: Any, _start_response: Any) -> Iterable[bytes]:
        raise RuntimeError

    turnstile = ConcurrencyLimit(broken, 1)
    for _ in range(3):
        try:
            turnstile({}, lambda *_: None)
        except RuntimeError:
            continue
        raise AssertionError("The failure was swallowed.")


def test_the_addresses_that_are_called_busy_are_there(app: Flask) -> None:
    assert LIMITED_PATHS.get(app)
    assert LIMITED_PATHS.get(app) <= {rule.rule for rule in app.url_map.iter_rules()}
