"""Work with a time limit: its result, its error, or nothing; and never twice at once."""

from contextvars import ContextVar
from threading import Event

import pytest

from control_plane.platform.runtime.time_limit import TimeLimit

NAME = ContextVar("NAME", default="")


def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    limit = TimeLimit(30)
    NAME.set("ours")
    assert limit.run("work", NAME.get) == "ours"
    with pytest.raises(ZeroDivisionError):
        limit.run("work", lambda: 1 / 0)
    assert limit.run("work", lambda: 3) == 3


def test_what_hangs_is_given_up_and_not_begun_again_until_it_ends() -> None:
    limit, ends, over = TimeLimit(0.05), Event(), Event()

    def hang() -> None:
        ends.wait()
        over.set()

    for _ in range(3):
        with pytest.raises(TimeoutError):
            limit.run("hangs", hang)
    assert limit.run("another", lambda: 3) == 3
    ends.set()
    assert over.wait(10)
    limit.seconds = 30
    while True:  # the thread may take a moment to end
        try:
            assert limit.run("hangs", lambda: 3) == 3
        except TimeoutError:
            continue
        break
