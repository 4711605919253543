"""The production topology on one machine: two PostgreSQL servers, PgBouncer, two servers of ours, nginx, monitoring.

All with the files that are shipped, only addresses and the place of certificate, token and list of users replaced.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg import sql
from sqlalchemy import URL, make_url

from tests.faults.replication import ReplicatedServers, replicated
from tests.nginx import SERVER, Proxy, nginx
from tests.pgbouncer import ROLE, ShippedPooler, shipped_pgbouncer
from tests.processes import free_port
from tests.serving import SECRET_KEY, Served, serving

DATABASE = "rollout"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Production:
    """An installation, and the program that it runs at the moment."""

    folder: Path
    pair: ReplicatedServers
    pooler: ShippedPooler
    settings: Mapping[str, str]
    program: Path
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _servers: dict[int, ExitStack] = field(default_factory=dict)

    def start(self, port: int) -> Served:
        """Start the server of this port, in a folder of its own."""
        place = self.folder / str(port)
        place.mkdir(exist_ok=True)
        self._servers[port] = ExitStack()
        settings = {**SERVER, **self.settings, "PORT": str(port)}
        return self._servers[port].enter_context(serving(place, command=self.program, **settings))

    def stop(self, *ports: int) -> None:
        """Stop servers."""
        with ExitStack() as stack:
            for port in ports:
                stack.callback(self._servers.pop(port).close)

    def stop_all(self) -> None:
        """Stop every server that runs."""
        self.stop(*self._servers)

    def rollout(self, *arguments: str) -> str:
        """Run a command of `rollout` as an operator; return what it prints."""
        place = self.folder / "operator"
        place.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "INSTANCE_DIR": str(place), **self.settings}
        done = subprocess.run(
            [self.program, *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def token(self, name: str, kind: str) -> str:
        """Return the text of a new token."""
        found: str = json.loads(self.rollout("token", "create", name, "--type", kind, "--json"))["token"]
        return found

    @contextmanager
    def front(self) -> Iterator[Proxy]:
        """Yield an nginx in front of both servers."""
        with nginx(self.folder, [f"127.0.0.1:{port}" for port in self.ports]) as proxy:
            yield proxy

    def promote(self) -> None:
        """Let the replica take changes, and lead the pooler there."""
        self.pair.promote()
        self.pooler.lead_to(self.pair.replica_url)

    def lose_database(self) -> None:
        """Let the promoted server have an empty database in the place of ours."""
        with psycopg.connect(self.pair.replica_url, autocommit=True) as owner:
            owner.execute("DROP DATABASE rollout WITH (FORCE)")
            owner.execute("CREATE DATABASE rollout OWNER rollout")

    def journal(self) -> list[tuple[str, int]]:
        """Keys and numbers of the operations that the promoted server has."""
        url = make_url(self.pair.replica_url).set(database=DATABASE).render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            return connection.execute(
                "SELECT operation_key, id FROM credit_journal WHERE type = 'consume' AND charged <> '{0,0}'"
            ).fetchall()


class Browser:
    """Somebody who has signed in through the proxy, and asks the API."""

    def __init__(self, proxy: Proxy, username: str, password: str) -> None:
        self._url = proxy.url
        self._session = requests.Session()
        self._session.verify = str(proxy.certificate)
        self._session.trust_env = False  # or what the environment says of certificates comes first
        self._session.headers.update(SAME_ORIGIN)
        form = {"username": username, "password": password}
        answer = self._session.post(f"{self._url}/sign-in", form, allow_redirects=False, timeout=20)
        assert answer.status_code == 303, answer.text

    def ask(self, method: str, path: str, **body: object) -> Any:
        """Return the API's answer, which must be content."""
        answer = self._session.request(method, f"{self._url}/api{path}", json=body or None, timeout=20)
        assert answer.ok, answer.text
        return answer.json()


@contextmanager
def production(folder: Path, program: Path) -> Iterator[Production]:
    """Databases and pooler run, and nothing of ours does yet; all of it ends with the block."""
    with ExitStack() as stack:
        pair = stack.enter_context(replicated())
        password = secrets.token_urlsafe(16)
        _prepare(pair, password)
        primary = make_url(pair.primary.url).set(username="rollout", password=password, database=DATABASE)
        pooler = stack.enter_context(shipped_pgbouncer(primary.render_as_string(hide_password=False)))
        settings = {
            "DATABASE_URL": pooler.url,
            "DATABASE_DIRECT_URL": _both(primary, make_url(pair.replica_url)),
            "SECRET_KEY": SECRET_KEY,
            "ALERTS_FILE": "",
        }
        found = Production(folder, pair, pooler, settings, program)
        stack.callback(found.stop_all)
        yield found


def _prepare(pair: ReplicatedServers, password: str) -> None:
    """Make the role, with the limits that it needs behind the pooler, and its empty database."""
    with psycopg.connect(pair.primary.url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE rollout LOGIN PASSWORD {}").format(password))
        owner.execute("SET ROLE rollout")
        owner.execute(ROLE.read_bytes())
        owner.execute("RESET ROLE")
        owner.execute("CREATE DATABASE rollout OWNER rollout")


def _both(primary: URL, replica: URL) -> str:
    """Return the address of both servers in the form that docs/install.md names."""
    hosts = f"host={primary.host},{replica.host}&port={primary.port},{replica.port}"
    person = f"{primary.username}:{primary.password}"
    return f"postgresql://{person}@/{primary.database}?{hosts}&target_session_attrs=read-write"


def lost(answered: Mapping[str, int], open_ones: Sequence[str], journal: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return what is wrong with a journal after a crowd: missing, charged twice, or charged to nobody's knowledge."""
    stored = dict(journal)
    return {
        "missing": [key for key, number in answered.items() if stored.get(key) != number],
        "twice": [key for key in stored if [each for each, _ in journal].count(key) > 1],
        "unknown": sorted(stored.keys() - answered.keys() - set(open_ones)),
    }
