"""What every test may ask for: an application on either database, an instant, and people who use it."""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as properties

from control_plane.platform.auth import tokens
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Person
from control_plane.platform.settings import Settings
from flags.client_features import refresher
from tests import chromium, citus, loopback, people, postgres
from tests.applications import application

ROOT = Path(__file__).parents[1]
DIALECTS = ("sqlite", "postgresql")
A_DAY_SECONDS = 24 * 3600.0
COLLECT_AFTER = 50_000
"""Objects; Python's own 700 make a test a twentieth longer."""
SLOWEST_FIRST = ("browser", "clients", "journeys", "faults", "properties")
"""Folders whose files take longest: one that began last would be waited for by everybody else."""


# How long an example takes says more about what else runs than about the code.
properties.register_profile("unhurried", deadline=None)
properties.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    loopback.guard()
    # A shell starts what runs in its background with SIGINT ignored, which every program of the tests would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "database(*dialects): run on these databases alone instead of on both")
    is_worker = hasattr(config, "workerinput")
    if chromium.is_required() and not is_worker:
        config.pluginmanager.register(chromium.RequireBrowserTests())


def pytest_xdist_auto_num_workers() -> int:
    """Run two for each processor: a third of the time a test waits for a program, a browser or a lock."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a folder the order stays."""
    places = {ROOT / "tests" / folder: place for place, folder in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: min(places.get(each, len(places)) for each in item.path.parents))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is loaded by now, as it stays until the end, and look rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs a database on each of them."""
    if "dialect" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("database")
        metafunc.parametrize("dialect", marker.args if marker else DIALECTS, indirect=True)


@pytest.fixture
def now() -> datetime:
    """The instant at which a test takes place."""
    return datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    """The database of this run of the test; `@pytest.mark.database("sqlite")` restricts it."""
    name: str = request.param
    return name


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> str:
    """A fresh database with today's schema and nothing in it."""
    url: str = request.getfixturevalue(f"{dialect}_url")
    return url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """The settings of `app`: production, nothing running in the background."""
    return Settings(
        database_url=database_url,
        instance_dir=tmp_path,
        secret_key="a key for tests",
        alerts_file=ROOT / "alerts.yaml",
        user_jwt_secret="a secret that the product and the tests share",
        sqlite_synchronous="OFF",  # no test survives a power cut, so none has to wait for the disk
        background=False,
    )


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The whole application on a fresh database, where nothing confirms the flags, however long a test takes."""
    monkeypatch.setattr(refresher, "STALE_SECONDS", A_DAY_SECONDS)
    with application(settings) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A caller who has not signed in."""
    return app.test_client()


@pytest.fixture
def cast(app: Flask, now: datetime) -> Mapping[str, Person]:
    """alice the owner, olga the operator and victor the viewer, by name."""
    return people.invite(app, now)


@pytest.fixture
def sign_in(app: Flask, cast: Mapping[str, Person]) -> Callable[[str], FlaskClient]:
    """`sign_in("alice")` is a browser in which alice has signed in; each call is another browser."""
    return partial(people.signed_in, app)


@pytest.fixture
def make_token(app: Flask, now: datetime) -> Callable[..., str]:
    """`make_token("client", environment="staging")` is the text of a new token."""

    def make(kind: str, *, now: datetime = now, actor: str = "system", **options: Any) -> str:
        new = tokens.NewToken(f"a {kind} token", kind, **({"environment": "production"} | options))
        with app.app_context(), transaction() as session:
            return tokens.create_token(session, new, now=now, actor=actor)

    return make


@pytest.fixture
def service_token(make_token: Callable[..., str]) -> str:
    """The text of a token that opens the credits API."""
    return make_token("service")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite file."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'rollout.db')}"


@pytest.fixture
def postgresql_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    with postgres.database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "rollout.db"
    _migrate(f"sqlite:///{path}", path.parent)
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to be copied."""
    with postgres.database(postgres_server) as url:
        instance_dir = tmp_path_factory.mktemp("template")
        if citus.is_requested():
            citus.install(url)
        _migrate(url, instance_dir)
        if citus.is_requested():
            citus.spread(url, instance_dir)
            citus.close(postgres_server, url)
        yield url.rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL that may be asked for databases."""
    with postgres.running() as url:
        yield url


def _migrate(url: str, instance_dir: Path) -> None:
    with application(Settings(database_url=url, instance_dir=instance_dir, secret_key="-", background=False)):
        pass
