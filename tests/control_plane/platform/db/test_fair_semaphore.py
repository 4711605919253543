"""A few at a time: who has to wait, and who no longer counts."""

import threading
import time

from control_plane.platform.db.fair_semaphore import AdaptiveLimit, FairSemaphore

PATIENCE_SECONDS = 10


def test_places_are_handed_on_in_the_order_of_coming() -> None:
    line, order = FairSemaphore(1, PATIENCE_SECONDS), list[int]()
    line.acquire()

    def stand(number: int) -> None:
        line.acquire()
        order.append(number)
        line.release()

    callers = [threading.Thread(target=stand, args=[number]) for number in range(5)]
    for number, caller in enumerate(callers, start=1):
        caller.start()
        while line.waiting < number:
            time.sleep(0.001)
    line.release()
    for caller in callers:
        caller.join(PATIENCE_SECONDS)
    assert order == [0, 1, 2, 3, 4]


def test_who_has_waited_too_long_goes_ahead_and_leaves_no_trace() -> None:
    line = FairSemaphore(1, 0.001)
    assert line.acquire()
    assert not line.acquire()
    assert line.waiting == 0
    line.release()
    assert line.acquire(), "the place was handed on to nobody"


def test_a_line_that_grows_lets_in_who_waits_and_one_that_shrinks_turns_nobody_out() -> None:
    line, inside = FairSemaphore(1, PATIENCE_SECONDS), list[int]()
    assert line.acquire()

    def stand(number: int) -> None:
        assert line.acquire()
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
    line.release()
    line.release()
    assert line.waiting == 1, "one is inside still, and that is all there may be"
    line.release()
    callers[2].join(PATIENCE_SECONDS)
    assert (inside[-1], line.waiting) == (2, 0)


def test_the_breadth_goes_by_the_quickest_of_the_latest() -> None:
    breadth = AdaptiveLimit(one_more_seconds=0.001, most=4, latest=3)

    def after(*milliseconds: float) -> list[int | None]:
        return [breadth.observe(each / 1000) for each in milliseconds]

    assert after(9, 0.3, 9) == [None, None, 1], "what waits for others is no reason for more of them"
    assert after(2.5, 9, 9) == [None, None, 3], "the quickest of before is forgotten"
    assert after(99, 99, 99) == [None, None, 4]
