"""Event streams sent by one thread for all, so that a stream costs its connection and a few objects.

Nothing here waits for a reader: RSGI takes whatever it is given, and a reader who is behind is looked at again later.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import structlog
from granian._granian import RSGIProtocolClosed as ProtocolClosed

from control_plane.gateway.slow_readers import Pace, StreamReader

PULSE_SECONDS = 1.0
"""How often a stream is asked without a reason: it may have to say that it is still there."""
BEHIND_SECONDS = 0.1
"""How often a reader who is behind is looked at."""

log = structlog.get_logger()


class Closeable(Protocol):
    """What the application returned for the stream; to close it gives its place back."""

    def close(self) -> None:
        """End it."""


class SharedStream:
    """One open stream."""

    def __init__(self, transport: Any, reader: StreamReader, frames: Iterator[bytes], body: Closeable) -> None:
        self._transport = transport
        self._reader = reader
        self._frames = frames
        self._body = body
        self._waiting = b""

    @property
    def is_behind(self) -> bool:
        """Return whether something waits for the reader."""
        return bool(self._waiting)

    def go_on(self) -> bool:
        """Send what there is; False when the stream is over."""
        try:
            is_open = self._send_all()
        except (StopIteration, ProtocolClosed):
            is_open = False
        except Exception:
            log.exception("gateway.failed")
            is_open = False
        if not is_open:
            self.close()
        return is_open

    def close(self) -> None:
        """End the stream."""
        with suppress(Exception):
            self._body.close()

    def _send_all(self) -> bool:
        while frame := self._waiting or next(self._frames):
            match self._reader.pace(len(frame)):
                case Pace.GONE:
                    return False
                case Pace.BEHIND:
                    self._waiting = frame
                    return True
            self._waiting = b""
            for _ in self._transport.send_bytes(frame):
                pass  # an awaitable that has nothing to wait for
        return True


class SharedStreams:
    """All such streams of a worker, and the thread that sends them; it starts with the first."""

    def __init__(self) -> None:
        self._opened: deque[SharedStream] = deque()
        self._called = threading.Event()
        self._is_news = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, stream: SharedStream) -> None:
        """Send a stream from now on."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._write_forever, name="event-streams", daemon=True)
                thread.start()  # it raises where the system gives no more threads; the next stream tries again
                self._thread = thread
        self._opened.append(stream)
        self._called.set()

    def wake(self) -> None:
        """Ask every stream for its next frame."""
        self._is_news = True
        self._called.set()

    def _write_forever(self) -> None:
        streams: list[SharedStream] = []
        pulsed_at = behind_pulsed_at = time.monotonic()
        while True:
            due = pulsed_at + PULSE_SECONDS
            if any(each.is_behind for each in streams):
                due = min(due, behind_pulsed_at + BEHIND_SECONDS)
            # Where no stream is open, nothing but the next one ends the wait.
            self._called.wait(max(0.0, due - time.monotonic()) if streams else None)
            # Cleared before anything is asked: what happens meanwhile ends the next wait at once.
            self._called.clear()
            now = time.monotonic()
            if self._is_news or now >= pulsed_at + PULSE_SECONDS:
                self._is_news, pulsed_at, behind_pulsed_at = False, now, now
                streams = [each for each in streams if each.go_on()]
            elif now >= behind_pulsed_at + BEHIND_SECONDS:
                # Of two thousand streams one may be behind: the others are not asked ten times a second for its sake.
                behind_pulsed_at = now
                streams = [each for each in streams if not each.is_behind or each.go_on()]
            while self._opened:
                if (fresh := self._opened.popleft()).go_on():
                    streams.append(fresh)
