"""A real PgBouncer in front of a real PostgreSQL: what can't work is refused before anything is served."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from control_plane.platform.db import pooler
from control_plane.platform.db.database import LIMITS
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.control_plane.conftest import Run
from tests.processes import dies_with_us, free_port
from tests.programs import path_of

pytestmark = pytest.mark.database("postgresql")
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


def checked(settings: Settings) -> None:
    with application(settings) as app, app.app_context():
        pooler.require_direct_connection()


def test_a_direct_connection_is_accepted(settings: Settings) -> None:
    checked(settings)


def test_a_pooler_that_refuses_options_is_named_in_a_sentence(rollout: Run, postgresql_url: str) -> None:
    with pgbouncer(postgresql_url, pool_mode="transaction") as url:
        done = rollout("serve", DATABASE_URL=url)
    assert done.returncode == 1
    assert "A pooler stands between this program and PostgreSQL" in done.stderr


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_that_drops_the_limits_is_refused(settings: Settings, mode: str) -> None:
    with (
        pgbouncer(settings.database_url, pool_mode=mode, ignore_startup_parameters="options") as url,
        pytest.raises(SettingsError, match="is not in force"),
    ):
        checked(_at(settings, url))


@pytest.fixture
def limited(settings: Settings) -> Settings:
    """A database that has the limits of its own, whatever a pooler drops."""
    url = make_url(settings.database_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as owner:
        for name, value in LIMITS.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            owner.execute(statement.format(sql.Identifier(str(url.database)), sql.Identifier(name), value))
    return settings


def test_shared_connections_are_refused_though_the_limits_are_in_force(limited: Settings) -> None:
    with (
        pgbouncer(limited.database_url, pool_mode="transaction", ignore_startup_parameters="options") as url,
        pytest.raises(SettingsError, match="shared between transactions"),
    ):
        checked(_at(limited, url))


def test_a_pooler_that_gives_each_client_its_own_connection_works(limited: Settings) -> None:
    with pgbouncer(limited.database_url, pool_mode="session", ignore_startup_parameters="options") as url:
        checked(_at(limited, url))


def _at(settings: Settings, url: str) -> Settings:
    pooled = make_url(url).set(drivername="postgresql+psycopg")
    return replace(settings, database_url=pooled.render_as_string(hide_password=False))
