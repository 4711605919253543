"""CPU time of a local PostgreSQL and of the programs that we start: a figure that a busy machine does not blur much."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PARENT, USER_OF_ENDED, SYSTEM_OF_ENDED = 1, 13, 14
"""Fields of /proc/PID/stat behind the program's name."""
IDLE = 3
"""Field of the first line of /proc/stat behind its name."""
REAPED_SECONDS = 0.3


@dataclass
class Micros:
    """Microseconds of CPU, known once the block has ended."""

    taken: float = 0.0


def server_of(url: str) -> int:
    """Return the process that starts a server's backends, which accounts for them once they have ended."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row
        return int(_fields(row[0])[PARENT])


@contextmanager
def spent(server: int) -> Iterator[Micros]:
    """Measure the CPU time of the server's backends meanwhile; they have to end within the block."""
    micros, before = Micros(), _ended(server)
    yield micros
    micros.taken += (_ended(server) - before) * 1e6


def busy_share(seconds: float) -> float:
    """Return the share of all cores that was busy during the next `seconds`."""
    total, idle = _machine()
    time.sleep(seconds)
    later, idle_later = _machine()
    return 1 - (idle_later - idle) / (later - total)


def of_children() -> float:
    """Microseconds that our ended children have taken so far."""
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (ours.ru_utime + ours.ru_stime) * 1e6


def _machine() -> tuple[int, int]:
    """Ticks of all cores since the machine started, and those of them that were idle."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(ticks), ticks[IDLE]


def _ended(server: int) -> float:
    time.sleep(REAPED_SECONDS)
    fields = _fields(server)
    return (int(fields[USER_OF_ENDED]) + int(fields[SYSTEM_OF_ENDED])) / TICKS_PER_SECOND


def _fields(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
