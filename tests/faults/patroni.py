"""Two PostgreSQL servers under Patroni, which sees by itself that the primary is gone and promotes the other one."""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests import postgres
from tests.faults.crashable_server import children
from tests.processes import free_port
from tests.programs import path_of

READY_SECONDS = 90
TTL_SECONDS = 5
"""For how long the primary counts as alive after its last word."""
BOOTSTRAP = {
    "dcs": {
        "ttl": TTL_SECONDS,
        "loop_wait": 1,
        "retry_timeout": 2,
        "synchronous_mode": True,
        "postgresql": {"use_pg_rewind": False},
    },
    "initdb": [{"auth": "scram-sha-256"}, {"encoding": "UTF8"}, {"locale": "C"}, "no-sync"],
}


@dataclass
class Node:
    """One server with the Patroni that keeps it."""

    name: str
    place: Path
    programs: Path
    user: postgres.User
    password: str
    etcd_port: int
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address of this server alone."""
        return f"postgresql://{postgres.OWNER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Let Patroni begin its work, on what the disk holds."""
        written = self.place / f"{self.name}.yml"
        written.write_text(json.dumps(self._settings()))  # JSON is YAML
        if self.user:
            os.chown(written, self.user["user"], self.user["group"])
        self.process = postgres._run([path_of("patroni"), written], self.place / f"{self.name}.log", self.user)

    def kill(self) -> None:
        """SIGKILL to Patroni and every process of its server at once, as when the machine loses power."""
        server = int((self.place / self.name / "postmaster.pid").read_text().split()[0])
        assert self.process
        for number in (self.process.pid, server, *children(server)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Let Patroni stop its server and end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(READY_SECONDS)

    def is_replica(self) -> bool:
        """Return whether it answers and takes no changes."""
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            found = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        return found == (True,)

    def sync_states(self) -> list[str]:
        """Return how each of its replicas follows."""
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            return [row[0] for row in connection.execute("SELECT sync_state FROM pg_stat_replication")]

    def _settings(self) -> dict[str, object]:
        here, api = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.api_port}"
        owner = {"username": postgres.OWNER, "password": self.password}
        return {
            "scope": "rollout",
            "name": self.name,
            "restapi": {"listen": api, "connect_address": api},
            "etcd3": {"host": f"127.0.0.1:{self.etcd_port}"},
            "bootstrap": BOOTSTRAP,
            "postgresql": {
                "listen": here,
                "connect_address": here,
                "data_dir": str(self.place / self.name),
                "bin_dir": str(self.programs),
                "pgpass": str(self.place / f"{self.name}.pgpass"),
                "authentication": {
                    "superuser": owner,
                    "replication": {"username": "follower", "password": self.password},
                },
                "parameters": postgres.SERVER | postgres.FORGETFUL,
                # What the dead one wrote last is on no other server: it begins anew as a copy of its successor.
                "remove_data_directory_on_diverged_timelines": True,
            },
        }


@dataclass
class Cluster:
    """Both nodes, and the one address by which programs find whichever of them takes changes."""

    nodes: tuple[Node, Node]

    @property
    def url(self) -> str:
        """The address with both hosts in it."""
        one, other = self.nodes
        person = f"{postgres.OWNER}:{one.password}"
        hosts = f"host=127.0.0.1,127.0.0.1&port={one.port},{other.port}"
        return f"postgresql+psycopg://{person}@/postgres?{hosts}&target_session_attrs=read-write"

    def wait_until_whole(self, primary: Node) -> None:
        """Return once the other node follows synchronously."""
        wait_for(lambda: primary.sync_states() == ["sync"], self)


def wait_for(is_true: Callable[[], bool], cluster: Cluster) -> None:
    """Ask until the answer is yes; a server that does not answer says no."""
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        with suppress(psycopg.Error):
            if is_true():
                return
        time.sleep(0.05)
    logs = [(node.place / f"{node.name}.log").read_text()[-1500:] for node in cluster.nodes]
    raise AssertionError("\n".join(logs))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield both nodes, the second following the first synchronously; gone when the block is left."""
    user, etcd = postgres._server_user(), path_of("etcd")
    public = "/tmp" if user else None  # noqa: S108 - another user has to get there
    with TemporaryDirectory(prefix=postgres.PREFIX, dir=public) as folder:
        place, password, port = Path(folder), secrets.token_urlsafe(16), free_port()
        programs = postgres._programs(place, user)
        if user:
            os.chown(place, user["user"], user["group"])
        address, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        command = [
            etcd,
            f"--data-dir={place / 'etcd'}",
            f"--listen-client-urls={address}",
            f"--advertise-client-urls={address}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]
        store = postgres._run(command, place / "etcd.log", user)
        one, other = (Node(name, place, programs, user, password, port) for name in ("one", "other"))
        running = Cluster((one, other))
        try:
            one.start()
            wait_for(lambda: not one.is_replica(), running)
            other.start()
            running.wait_until_whole(one)
            yield running
        finally:
            for node in running.nodes:
                node.stop()
            postgres._stop(store)
