"""A real PgBouncer in front of a real PostgreSQL."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from tests.processes import dies_with_us, free_port
from tests.programs import path_of

START_SECONDS = 20


@contextmanager
def pgbouncer(url: str, **settings: str) -> Iterator[str]:
    """The URL of a PgBouncer in front of `url`; it runs as nobody, since it refuses to run as root."""
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
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
    with TemporaryDirectory() as folder:
        ini = Path(folder) / "pgbouncer.ini"
        ini.write_text("\n".join(lines))
        for path in (ini, ini.parent):
            if nobody:
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        process = subprocess.Popen(
            [path_of("pgbouncer"), "-q", ini],
            stderr=subprocess.DEVNULL,
            preexec_fn=dies_with_us(signal.SIGKILL),  # noqa: PLW1509 - no thread of ours forks at this moment
            **user,  # type: ignore[call-overload]
        )
        try:
            there = direct.set(port=port, password=None).render_as_string(hide_password=False)
            _wait_until_ready(there)
            yield there
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
