"""Event streams that share one thread: the application gives the server their frames, and never waits between two.

Both meet in the environ of PEP 3333, which is theirs to extend. A server that knows nothing of it is given a body that
waits, in a thread of its own.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

WRITER, FRAMES = "rollout.event_stream_writer", "rollout.event_stream_frames"


class Writer(Protocol):
    """The one who writes all streams of a server."""

    def wake(self) -> None:
        """Ask every stream for its next frame."""


def writer(environ: MutableMapping[str, Any]) -> Writer | None:
    """Return who writes the streams of this server; None where each is sent in a thread of its own."""
    found: Writer | None = environ.get(WRITER)
    return found


def hand_over(environ: MutableMapping[str, Any], frames: Iterator[bytes]) -> None:
    """Let the server ask for frames once the headers are sent: an empty one where there is nothing now."""
    environ[FRAMES] = frames
