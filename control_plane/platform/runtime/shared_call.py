"""A call whose result is waited for no longer than one likes, however long the call itself takes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from flask import Flask


class SharedCall:
    """One call at a time, in a thread of its own; those who come meanwhile wait for the result of the same one."""

    def __init__(self, app: Flask, call: Callable[[], None]) -> None:
        self._app, self._call = app, call
        self._lock = threading.Lock()
        self._result: Future[None] | None = None
        self._began_at = 0.0

    def wait(self, seconds: float) -> None:
        """Return or raise what the call does. Raises TimeoutError where it began `seconds` ago and has not ended."""
        with self._lock:
            if self._result is None or self._result.done():
                self._result, self._began_at = Future(), time.monotonic()
                # A thread that may hang must not keep the process from ending.
                threading.Thread(target=self._run, args=[self._result], name="shared-call", daemon=True).start()
            result, until = self._result, self._began_at + seconds
        result.result(max(0.0, until - time.monotonic()))

    def _run(self, result: Future[None]) -> None:
        try:
            with self._app.app_context():
                self._call()
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(None)
