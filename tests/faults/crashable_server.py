"""A PostgreSQL server of our own that can be killed like a process that ran out of memory, and started again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tests import postgres


def children(process_id: int) -> list[int]:
    """Return the processes that a process has started (Linux)."""
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    return [int(number) for task in tasks for number in task.read_text().split()]


@dataclass
class CrashableServer:
    """A server on a data directory that outlives it."""

    url: str
    data: Path
    programs: Path
    log: Path
    user: postgres.User
    server: subprocess.Popen[str]

    def kill(self) -> None:
        """SIGKILL to every process of the server at once: nobody writes or says anything more."""
        for number in (self.server.pid, *children(self.server.pid)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.server.wait()
        # It names a server that is gone; its word "ready" must not be taken for the next one's.
        (self.data / "postmaster.pid").unlink()

    def start(self) -> None:
        """Start again on what the disk holds; ready once the log has been replayed."""
        port = urlsplit(self.url).port
        settings = [f"--{name}={value}" for name, value in (postgres.SERVER | postgres.FORGETFUL).items()]
        command: list[Path | str] = [self.programs / "postgres", "-D", self.data, f"--port={port}", *settings]
        self.server = postgres._run(command, self.log, self.user)
        assert postgres._is_ready(self.server, self.data / "postmaster.pid"), self.log.read_text()[-600:]


@contextmanager
def crashable() -> Iterator[CrashableServer]:
    """Yield a server with an empty database `postgres`, gone when the block is left."""
    user = postgres._server_user()
    public = "/tmp" if user else None  # noqa: S108 - another user has to get there
    with TemporaryDirectory(prefix=postgres.PREFIX, dir=public) as place:
        data = Path(place) / "data"
        data.mkdir()
        server, url = postgres._start(Path(place), data, user, postgres.SERVER | postgres.FORGETFUL)
        copy = Path(place) / postgres.WHEEL
        programs = (copy if copy.exists() else postgres._wheel()) / "pginstall18" / "bin"
        running = CrashableServer(url, data, programs, Path(place) / "log", user, server)
        try:
            yield running
        finally:
            postgres._stop(running.server)
