"""A real PgBouncer in front of a real PostgreSQL: what can't work is refused before anything is served."""

import re
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from control_plane.platform.db import pooler
from control_plane.platform.db.database import LIMITS
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from tests import postgres
from tests.applications import application
from tests.control_plane.conftest import Run
from tests.pgbouncer import pgbouncer
from tests.processes import free_port

pytestmark = pytest.mark.database("postgresql")


def checked(settings: Settings) -> None:
    with application(settings) as app, app.app_context():
        pooler.require_usable_connections()


def test_a_direct_connection_is_accepted(settings: Settings) -> None:
    checked(settings)


def test_a_pooler_that_refuses_options_is_named_in_a_sentence(program: Run, postgresql_url: str) -> None:
    with pgbouncer(postgresql_url, pool_mode="transaction") as url:
        done = program("serve", DATABASE_URL=url)
    assert done.returncode == 1
    assert "A pooler stands between this program and PostgreSQL" in done.stderr


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_that_drops_the_limits_is_refused(settings: Settings, mode: str) -> None:
    with (
        pgbouncer(settings.database_url, pool_mode=mode, ignore_startup_parameters="options") as url,
        pytest.raises(SettingsError, match="is not in force"),
    ):
        checked(_at(settings, url))


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_declared_pooler_without_the_limits_is_refused_with_what_to_execute(settings: Settings, mode: str) -> None:
    with pgbouncer(settings.database_url, pool_mode=mode) as url:
        declared = replace(_at(settings, url), database_direct_url=settings.database_url)
        with pytest.raises(SettingsError, match="SET lock_timeout = '5000'; ALTER ROLE") as refused:
            checked(declared)
        owner = make_url(settings.database_url).set(drivername="postgresql")
        with psycopg.connect(owner.render_as_string(hide_password=False), autocommit=True) as connection:
            for statement in re.findall(r"ALTER ROLE [^;]+;", str(refused.value)):
                # Of this database alone: the role serves all tests.
                place = sql.SQL("IN DATABASE {} SET").format(sql.Identifier(str(owner.database)))
                connection.execute(statement.replace("SET", place.as_string(connection), 1))
    with pgbouncer(settings.database_url, pool_mode=mode) as url:
        checked(replace(_at(settings, url), database_direct_url=settings.database_url))


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


def test_the_role_is_named_as_postgresql_knows_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(settings.database_url)
    monkeypatch.setenv("PGUSER", str(url.username))
    with pgbouncer(settings.database_url, pool_mode="transaction") as pooled:
        nameless = str(make_url(pooled).set(username=None))
        declared = replace(_at(settings, nameless), database_direct_url=settings.database_url)
        with pytest.raises(SettingsError, match=f'ALTER ROLE "{url.username}" SET'):
            checked(declared)


def test_a_direct_address_that_is_the_pooler_s_own_is_refused(limited: Settings) -> None:
    with pgbouncer(limited.database_url, pool_mode="transaction", ignore_startup_parameters="options") as url:
        there = _at(limited, url)
        with pytest.raises(SettingsError, match="is not heard here"):
            checked(replace(there, database_direct_url=there.database_url))


def test_a_direct_address_of_another_database_is_refused(
    limited: Settings, postgres_server: str, postgres_template: str
) -> None:
    with (
        pgbouncer(limited.database_url, pool_mode="transaction") as url,
        postgres.database(postgres_server, template=postgres_template) as other,
        pytest.raises(SettingsError, match="is not heard here"),
    ):
        checked(replace(_at(limited, url), database_direct_url=other))


def test_a_direct_address_where_nobody_answers_is_refused(limited: Settings) -> None:
    nowhere = make_url(limited.database_url).set(port=free_port()).render_as_string(hide_password=False)
    with pgbouncer(limited.database_url, pool_mode="transaction") as url:
        declared = replace(_at(limited, url), database_direct_url=nowhere)
        refused = pytest.raises(SettingsError, match="DATABASE_DIRECT_URL does not lead")
        with application(declared, schema_may_wait=True) as app, app.app_context(), refused:
            pooler.require_usable_connections()


def _at(settings: Settings, url: str) -> Settings:
    pooled = make_url(url).set(drivername="postgresql+psycopg")
    return replace(settings, database_url=pooled.render_as_string(hide_password=False))
