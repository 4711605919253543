"""Two environments of one flag at different phases, as the unmodified clients of Python and Node are told of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.rollouts import store
from flags.evaluation.bucketing import bucket
from tests.clients import test_node
from tests.installation import CUTOVER, Installation

STAGING = f"{FLAG}@staging"
Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def staging(installation: Installation) -> str:
    """The flag's rollout at its lowest step, and one of staging at half of everyone."""
    everyone = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (50, 100), timedelta(0))
    plan = Plan((everyone,), CUTOVER, environment="staging")
    with installation.app.app_context(), transaction() as session:
        if store.load(session, STAGING) is None:
            change = ChangeContext(datetime.now(UTC), "test", "A test.")
            rollouts.plan(session, STAGING, plan, change, confirm_losing=True)
    installation.move(0, flag=STAGING)
    return STAGING


@contextmanager
def python_client(url: str, token: str, folder: Path) -> Iterator[Callable[[str], bool]]:
    client = UnleashClient(
        f"{url}/api",
        "shop",
        custom_headers={"Authorization": token},
        refresh_interval=1,
        disable_metrics=True,
        cache=FileCache("shop", directory=str(folder)),
    )
    client.initialize_client()
    yield lambda user_id: client.is_enabled(FLAG, {"userId": user_id})
    client.destroy()


def user_in(buckets: range) -> str:
    return next(name for name in map("user-{}".format, range(1000)) if bucket(FLAG, name) in buckets)


def test_a_client_of_python_is_told_of_its_environments_rollout(
    url: str, installation: Installation, staging: str, tmp_path: Path, eventually: Wait
) -> None:
    inside, outside = user_in(range(1, 51)), user_in(range(51, 101))
    tokens = {each: installation.token("client", environment=each) for each in ("staging", "production")}
    with (
        python_client(url, tokens["staging"], tmp_path / "staging") as in_staging,
        python_client(url, tokens["production"], tmp_path / "production") as in_production,
    ):
        eventually(lambda: in_staging(inside))
        assert not in_staging(outside)
        assert not in_production(inside)
        installation.move(3, 3)  # the flag's own: everyone
        eventually(lambda: in_production(outside))
        assert not in_staging(outside)
        installation.move(0, 1, flag=staging)
        eventually(lambda: in_staging(outside))
        installation.roll_back()
        eventually(lambda: not in_production(outside))
        assert in_staging(outside)


@pytest.fixture(params=["polling", "streaming", "ofrep-server"])
def ask(
    request: pytest.FixtureRequest, url: str, installation: Installation, tmp_path: Path
) -> Iterator[test_node.Ask]:
    """A client of Node in staging."""
    with test_node.client(request.param, url, installation, tmp_path, place="staging") as ask:
        yield ask


def test_a_client_of_node_is_told_of_its_environments_rollout(
    installation: Installation, staging: str, ask: test_node.Ask, eventually: Wait
) -> None:
    inside, outside = user_in(range(1, 51)), user_in(range(51, 101))
    eventually(lambda: ask(inside)["value"])
    assert not ask(outside)["value"]
    installation.move(3, 3)
    assert not ask(outside)["value"]
    with installation.app.app_context(), transaction() as session:
        rollouts.roll_back(session, staging, ChangeContext(datetime.now(UTC), "test", "A test."))
    eventually(lambda: not ask(inside)["value"])
