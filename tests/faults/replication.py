"""Two PostgreSQL servers of our own: a primary that can be killed, and a synchronous replica that takes its place."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests import postgres
from tests.faults.crashable_server import CrashableServer, crashable
from tests.processes import free_port


@dataclass
class ReplicatedServers:
    """Both servers and the one address by which programs find whichever of them takes changes."""

    primary: CrashableServer
    replica_url: str
    replica_data: Path

    @property
    def url(self) -> str:
        """The address with both hosts in it."""
        one, other = urlsplit(self.primary.url), urlsplit(self.replica_url)
        hosts = f"host={one.hostname},{other.hostname}&port={one.port},{other.port}"
        person = f"{one.username}:{one.password}"
        return f"postgresql+psycopg://{person}@{one.path}?{hosts}&target_session_attrs=read-write"

    def promote(self) -> None:
        """Let the replica take changes."""
        done = _run(self.primary, "pg_ctl", "promote", "--pgdata", str(self.replica_data))
        assert done.wait() == 0, self.primary.log.read_text()[-600:]


@contextmanager
def replicated() -> Iterator[ReplicatedServers]:
    """Yield both servers, every commit in both before it is acknowledged; gone when the block is left."""
    with crashable() as primary:
        data, port, address = primary.data.with_name("replica"), free_port(), urlsplit(primary.url)
        copied = _run(
            primary, "pg_basebackup", f"--dbname={primary.url}", "--pgdata", str(data), "--write-recovery-conf"
        )
        assert copied.wait() == 0, primary.log.read_text()[-600:]
        settings = [f"--{name}={value}" for name, value in (postgres.SERVER | postgres.FORGETFUL).items()]
        command: list[Path | str] = [primary.programs / "postgres", "-D", data, f"--port={port}", *settings]
        replica = postgres._run(command, primary.log, primary.user)
        try:
            assert postgres._is_ready(replica, data / "postmaster.pid"), primary.log.read_text()[-600:]
            with psycopg.connect(primary.url, autocommit=True) as owner:
                owner.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                owner.execute("SELECT pg_reload_conf()")
            there = address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{port}")
            yield ReplicatedServers(primary, there.geturl(), data)
        finally:
            postgres._stop(replica)


def _run(primary: CrashableServer, program: str, *arguments: str) -> subprocess.Popen[str]:
    return postgres._run([primary.programs / program, *arguments], primary.log, primary.user)
