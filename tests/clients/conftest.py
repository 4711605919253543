"""The official clients, unmodified, in front of the real server, whose installation is changed from here."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from control_plane.platform.settings import Settings
from flags.client_features.refresher import feature_provider
from tests.applications import application
from tests.installation import Installation
from tests.serving import Served, serving

PATIENCE_SECONDS = 60
CatchUp = Callable[[], None]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Settings of the server beyond its own; a module may need some."""
    return {}


@pytest.fixture(scope="module")
def served_installation(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[tuple[Served, Installation]]:
    """A server and its installation, for the tests of one module."""
    tmp_path = tmp_path_factory.mktemp("installation")
    shutil.copy(sqlite_template, tmp_path / "rollout.db")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, secret_key="-", background=False
    )
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        with serving(tmp_path, **environment) as served:
            yield served, installation


@pytest.fixture
def url(served_installation: tuple[Served, Installation]) -> str:
    """Return the URL of the installation."""
    return served_installation[0].url


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
def catch_up(
    served_installation: tuple[Served, Installation], eventually: Callable[[Callable[[], bool]], None]
) -> CatchUp:
    """`catch_up()` returns once the server knows what was changed in the installation."""
    served, installation = served_installation
    features = f"{served.url}/api/client/features"
    headers = {"Authorization": installation.token("client"), "Unleash-Client-Spec": "6.1.0"}

    def wait() -> None:
        installation.publish()
        with installation.app.app_context():
            digest = feature_provider().current("production").feature_set.contents.digest
        eventually(lambda: digest in requests.get(features, headers=headers, timeout=5).headers["ETag"])

    return wait


@pytest.fixture
def installation(served_installation: tuple[Served, Installation], catch_up: CatchUp) -> Installation:
    """Return the installation to change, its rollout at its lowest step once the server knows it."""
    installation = served_installation[1]
    installation.move(0)
    catch_up()
    return installation
