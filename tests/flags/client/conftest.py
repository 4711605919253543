"""What every test of the client may ask for."""

import time
from collections.abc import Callable

import pytest

PATIENCE_SECONDS = 30


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """`eventually(lambda: …)` returns once it is so, and fails if that takes far too long."""

    def wait(is_so: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < give_up, "It did not come about."
            time.sleep(0.02)

    return wait
