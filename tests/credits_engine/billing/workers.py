"""Workers in processes of their own, on a clock that the test sets, to be killed at any instant."""

import multiprocessing
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from mmap import mmap
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from control_plane.app import create_app
from control_plane.platform.settings import Settings
from credits_engine.billing.inbox.worker import Worker

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.credits_engine.billing.workers"])
IDLE_SECONDS = 0.002


class SharedClock:
    """A moment that every process reads from the same page of memory."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap(file.fileno(), 8)

    def set(self, moment: datetime) -> None:
        """Let it be this moment for everybody."""
        self._memory[:8] = struct.pack("d", moment.timestamp())

    def now(self) -> datetime:
        """Return the shared time."""
        seconds: float = struct.unpack("d", self._memory[:8])[0]
        return datetime.fromtimestamp(seconds, UTC)


class WorkerPool:
    """Workers that share an inbox. One that is killed is replaced."""

    def __init__(self, database_url: str, place: Path, size: int) -> None:
        self.clock = SharedClock(place / "clock")
        self.kills = 0
        self._url = database_url
        self._place = place
        self._numbers = count()
        self._members = [self._start() for _ in range(size)]

    @property
    def names(self) -> set[str]:
        """The names of the workers that are alive."""
        return {member.name for member in self._members}

    def kill_one(self, chance: random.Random) -> None:
        """Kill a worker without any notice, wherever it is, and start another."""
        place = chance.randrange(len(self._members))
        self._members[place].kill()
        self._members[place].join()
        self._members[place] = self._start()
        self.kills += 1

    def terminate(self) -> None:
        """End them all."""
        for member in self._members:
            member.kill()
            member.join()

    def _start(self) -> BaseProcess:
        name = f"worker{next(self._numbers)}"
        member = PROCESSES.Process(target=_work, args=(self._url, self._place, name), name=name, daemon=True)
        member.start()
        return member


@contextmanager
def at_work(database_url: str, size: int) -> Iterator[WorkerPool]:
    """Run so many workers on this database while the block lasts."""
    with TemporaryDirectory() as place:
        pool = WorkerPool(database_url, Path(place), size)
        try:
            yield pool
        finally:
            pool.terminate()


def _work(database_url: str, place: Path, name: str) -> None:
    clock = SharedClock(place / "clock")
    settings = Settings(
        database_url=database_url, instance_dir=place, secret_key="-", sqlite_synchronous="NORMAL", background=False
    )
    app = create_app(settings)
    with app.app_context():
        worker = Worker(name, clock.now)
        while True:
            # One claim at a time, so that the events of one customer meet in different workers.
            if worker.work(most=1) == 0:
                time.sleep(IDLE_SECONDS)
