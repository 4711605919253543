"""A guard that looks while a drill runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from flask import Flask

from alerts.guard_job import run_guard


@contextmanager
def watching(app: Flask) -> Iterator[None]:
    """Run the guard ten times a second while the block lasts."""
    ended = threading.Event()

    def watch() -> None:
        with app.app_context():
            while not ended.wait(0.1):
                run_guard(datetime.now(UTC), 1)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
