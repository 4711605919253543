"""Wait in a test for what another thread does."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 10


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return once it is so; fail where it never is."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.0005)
