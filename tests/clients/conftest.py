"""The official clients, unmodified, in front of the real server; and an office next door where things are changed."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from control_plane.platform.settings import Settings
from flags.client_features.refresher import refresher
from tests.applications import application
from tests.billing_office import Office
from tests.serving import Served, serving

PATIENCE_SECONDS = 60
CatchUp = Callable[[], None]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Settings of the server beyond its own; a module may need some."""
    return {}


@pytest.fixture(scope="module")
def installation(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[tuple[Served, Office]]:
    """A served installation and its office, for the tests of one module."""
    tmp_path = tmp_path_factory.mktemp("installation")
    shutil.copy(sqlite_template, tmp_path / "rollout.db")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, secret_key="-", background=False
    )
    with application(settings) as app:
        office = Office(app)
        office.plan()
        with serving(tmp_path, **environment) as served:
            yield served, office


@pytest.fixture
def url(installation: tuple[Served, Office]) -> str:
    """Return the URL of the installation."""
    return installation[0].url


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """`eventually(lambda: …)` returns once it is so, and fails if that takes far too long."""

    def wait(is_so: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < give_up, "It did not come about."
            time.sleep(0.02)

    return wait


@pytest.fixture
def catch_up(installation: tuple[Served, Office], eventually: Callable[[Callable[[], bool]], None]) -> CatchUp:
    """`catch_up()` returns once the server knows what was changed in the office."""
    served, office = installation
    features = f"{served.url}/api/client/features"
    headers = {"Authorization": office.token("client"), "Unleash-Client-Spec": "6.1.0"}

    def wait() -> None:
        office.publish()
        with office.app.app_context():
            digest = refresher().current("production").feature_set.contents.digest
        eventually(lambda: digest in requests.get(features, headers=headers, timeout=5).headers["ETag"])

    return wait


@pytest.fixture
def office(installation: tuple[Served, Office], catch_up: CatchUp) -> Office:
    """Return the installation to change, its rollout at its lowest step once the server knows it."""
    office = installation[1]
    office.move(0)
    catch_up()
    return office
