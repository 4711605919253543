"""Bodies on their way: each has a deadline and a greatest length, and all together may hold so many bytes.

Nothing waits here but the connection: Granian calls back when a piece has come.
"""

import threading
from collections.abc import Callable
from enum import Enum
from time import monotonic, sleep
from typing import Protocol

from granian._granian import RSGIProtocolClosed as ProtocolClosed

HELD_BYTES_MAX = 64 * 1024 * 1024
"""What all unfinished bodies of a worker may hold together."""
WHOLE_BYTES_MAX = 64 * 1024
"""A body up to this length is handed over as a whole and not counted among what unfinished ones hold."""
UNFINISHED_MAX = 5_000
PIECES_MIN = 1_000
PIECE_BYTES_MIN = 256
"""Beyond PIECES_MIN, pieces must be this long on average: each costs the same work, were it one byte."""
CHECK_SECONDS = 0.5


class Ending(Enum):
    """The ways in which the reading of a body ends."""

    COMPLETE = "complete"
    TOO_LONG = "too long"
    LATE = "late"
    OVERLOADED = "overloaded"
    BROKEN = "broken"


Done = Callable[[Ending, bytes], None]


class Future(Protocol):
    """Granian's promise of bytes; a callback is called with it, in whichever thread brings them."""

    def add_done_callback(self, callback: Callable[["Future"], None], /) -> object:
        """Call back once it is done or cancelled."""

    def cancel(self) -> object:
        """Wait no longer."""

    def cancelled(self) -> bool:
        """Return whether nobody waits any more."""

    def result(self) -> bytes:
        """Return the bytes. Raises ProtocolClosed where the connection ended before them."""


class Receiver(Protocol):
    """Granian's side of a request body."""

    def __call__(self) -> Future:
        """Return a future of the whole body."""

    def __aiter__(self) -> object:
        """Make ready for the pieces."""

    def __anext__(self) -> Future:
        """Return a future of the next piece, empty at the end."""


class Bodies:
    """All unfinished bodies of a worker, the oldest first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changing = threading.Lock()
        self._unfinished: dict[Body, None] = {}
        self._held = 0
        self._any = threading.Event()

    def read(self, receiver: Receiver, *, length: int | None, limit: int, done: Done) -> None:
        """Read a body of `length` bytes (None: until its end), at most `limit`, and call `done` once."""
        body = Body(self, receiver, length=length, limit=limit, done=done)
        with self._changing:
            self._unfinished[body] = None
            self._any.set()
            over_limit = len(self._unfinished) > UNFINISHED_MAX
        if over_limit:
            self._end_oldest()
        body.start()

    def hold(self, size: int) -> None:
        """Count `size` bytes of an unfinished body; where that is too much, the oldest body has to go."""
        with self._changing:
            self._held += size
            over_limit = self._held > HELD_BYTES_MAX
        if over_limit:
            self._end_oldest()

    def finish(self, body: "Body") -> bool:
        """Forget a body; False where somebody else has done so, who then speaks for it."""
        with self._changing:
            # The deadline, the overload and the last piece may all end it at once; only the first one answers the
            # request.
            if body not in self._unfinished:
                return False
            del self._unfinished[body]
            self._held -= body.held
            return True

    def end_late(self, now: float) -> None:
        """End the bodies whose time is over."""
        with self._changing:
            late = [body for body in self._unfinished if now - body.started > self._seconds]
        for body in late:
            body.end(Ending.LATE)

    def watch(self) -> None:
        """End late bodies from now on, until the process ends."""
        threading.Thread(target=self._watch_forever, name="late-bodies", daemon=True).start()

    def _watch_forever(self) -> None:
        while self._any.wait():
            sleep(CHECK_SECONDS)
            self.end_late(monotonic())
            with self._changing:
                if not self._unfinished:
                    self._any.clear()

    def _end_oldest(self) -> None:
        with self._changing:
            oldest = next(iter(self._unfinished), None)
        if oldest is not None:
            oldest.end(Ending.OVERLOADED)


class Body:
    """One body on its way."""

    def __init__(self, bodies: Bodies, receiver: Receiver, *, length: int | None, limit: int, done: Done) -> None:
        self._bodies = bodies
        self._receiver = receiver
        self._length = length
        self._limit = limit
        self._done = done
        self._pieces: list[bytes] = []
        self._future: Future | None = None
        self._ended = False
        self.held = 0
        self.started = monotonic()

    def start(self) -> None:
        """Have the body brought to us: a short one as a whole, a long one or one of unknown length by pieces."""
        if self._length is not None and self._length <= WHOLE_BYTES_MAX:
            self._expect(self._receiver(), self._came_whole)
        else:
            self._receiver.__aiter__()
            self._expect(self._receiver.__anext__(), self._came)

    def end(self, ending: Ending, content: bytes = b"") -> None:
        """Stop reading, and say why."""
        if self._bodies.finish(self):
            self._ended = True
            self._cancel()
            self._done(ending, content)

    def _expect(self, future: Future, came: Callable[[Future], None]) -> None:
        self._future = future
        # Ended by another thread between the call that made the future and this line: nobody else would cancel it.
        future.add_done_callback(came)
        if self._ended:
            self._cancel()

    def _cancel(self) -> None:
        # A future knows its callback and so us, and the garbage collector can't see that: nothing may be left in here.
        future, self._future = self._future, None
        if future is not None:
            future.cancel()

    def _came_whole(self, future: Future) -> None:
        if future.cancelled():
            return
        try:
            content: bytes = future.result()
        except ProtocolClosed:
            self.end(Ending.BROKEN)
        else:
            self.end(Ending.COMPLETE, content)

    def _came(self, future: Future) -> None:
        if future.cancelled():
            return
        piece: bytes = future.result()
        if not piece:
            self._end_of_pieces()
            return
        self._pieces.append(piece)
        size = self.held + len(piece)
        if size > self._limit or len(self._pieces) > PIECES_MIN + size // PIECE_BYTES_MIN:
            self.end(Ending.TOO_LONG)
        elif size == self._length:
            self.end(Ending.COMPLETE, b"".join(self._pieces))
        else:
            # Counted before the next piece is asked for, whose callback may run within that call.
            self.held = size
            self._bodies.hold(len(piece))
            self._expect(self._receiver.__anext__(), self._came)

    def _end_of_pieces(self) -> None:
        """Tell the end from a break, which looks like one: only after an end there is nothing to ask for any more."""
        try:
            self._receiver.__anext__().cancel()
        except StopAsyncIteration:
            is_whole = self._length is None
            self.end(Ending.COMPLETE if is_whole else Ending.BROKEN, b"".join(self._pieces))
        else:
            self.end(Ending.BROKEN)
