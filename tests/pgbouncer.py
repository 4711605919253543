"""A real PgBouncer in front of a real PostgreSQL."""

import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from tests.processes import dies_with_us, free_port
from tests.programs import path_of

START_SECONDS = 20


SHIPPED = Path(__file__).parents[1] / "deploy/pgbouncer.ini"
ROLE = SHIPPED.with_name("pgbouncer-role.sql")
"""What gives a role the limits that a pooler does not pass on."""
SHIPPED_SERVER = "rollout = host=127.0.0.1 port=5432 dbname=rollout"


@contextmanager
def pgbouncer(url: str, **settings: str) -> Iterator[str]:
    """Yield the URL of a PgBouncer in front of `url`."""
    direct, port = make_url(url), free_port()
    server = f"host={direct.host} port={direct.port} user={direct.username} password={direct.password}"
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "auth_type": "any",
        "unix_socket_dir": "",
        **settings,
    }
    lines = ["[databases]", f"{direct.database} = {server}", "[pgbouncer]", *(f"{k} = {v}" for k, v in options.items())]
    with TemporaryDirectory() as folder:
        ini = Path(folder) / "pgbouncer.ini"
        ini.write_text("\n".join(lines))
        there = direct.set(port=port, password=None).render_as_string(hide_password=False)
        with _running([path_of("pgbouncer"), "-q", ini], ini.parent, there):
            yield there


@dataclass(frozen=True, slots=True)
class ShippedPooler:
    """A PgBouncer with the shipped file, but for addresses; it can be led to another server."""

    url: str
    ini: Path
    process: subprocess.Popen[bytes]

    def lead_to(self, url: str) -> None:
        """Name another server in the file, and let it be read again."""
        self.ini.write_text(re.sub(r"host=\S+ port=\d+", _place(url), self.ini.read_text(), count=1))
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def shipped_pgbouncer(url: str) -> Iterator[ShippedPooler]:
    """Yield a PgBouncer as it is shipped in front of `url`, whose database is called `rollout`."""
    direct, port = make_url(url), free_port()
    with TemporaryDirectory() as folder:
        ini, people = Path(folder) / "pgbouncer.ini", Path(folder) / "userlist.txt"
        people.write_text(f'"{direct.username}" "{direct.password}"\n')
        text = SHIPPED.read_text()
        for shipped, here in (
            (SHIPPED_SERVER, f"rollout = {_place(url)} dbname=rollout"),
            ("listen_port = 6432", f"listen_port = {port}\nunix_socket_dir ="),
            ("/etc/pgbouncer/userlist.txt", str(people)),
        ):
            assert shipped in text
            text = text.replace(shipped, here)
        ini.write_text(text)
        there = direct.set(port=port).render_as_string(hide_password=False)
        with _running([path_of("pgbouncer"), "-q", ini], ini.parent, there) as process:
            yield ShippedPooler(there, ini, process)


@contextmanager
def composed_pgbouncer(url: str, script: str) -> Iterator[str]:
    """Yield the URL of a PgBouncer that the script of `compose.yaml` starts, its host, port and folders replaced."""
    direct, port = make_url(url), free_port()
    with TemporaryDirectory() as folder:
        shipped = SHIPPED.read_text().replace("port=5432", f"port={direct.port}").replace("6432", f"{port}")
        (Path(folder) / "shipped.ini").write_text(shipped)
        program = f"echo unix_socket_dir = >>{folder}/pgbouncer.ini\nexec {path_of('pgbouncer')} -q"
        for composed, here in (
            ("$$", "$"),
            ("host=postgres", "host=127.0.0.1"),
            ("/tmp/", f"{folder}/"),  # noqa: S108 - the image's own
            ("/etc/pgbouncer/", f"{folder}/"),
            ("exec pgbouncer", program),
        ):
            assert composed in script
            script = script.replace(composed, here)
        there = direct.set(port=port).render_as_string(hide_password=False)
        with _running(["sh", "-euc", script], Path(folder), there, POSTGRES_PASSWORD=str(direct.password)):
            yield there


def _place(url: str) -> str:
    address = make_url(url)
    return f"host={address.host} port={address.port}"


@contextmanager
def _running(
    command: Sequence[str | Path], folder: Path, url: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run it as nobody, since it refuses to run as root."""
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
    if nobody:
        for path in (folder, *folder.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
        preexec_fn=dies_with_us(signal.SIGKILL),  # noqa: PLW1509 - no thread of ours forks at this moment
        **user,  # type: ignore[call-overload]
    )
    try:
        _wait_until_ready(url)
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(url: str) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        else:
            return
