"""UnleashClient as services use it today: polling, with its own file cache, metrics and registration."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane.experiments.credits import FLAG
from flags.evaluation.bucketing import bucket
from flags.evaluation.timestamps import format_timestamp
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation

BETA, NEW, OLD = "beta-user", "new-user", "old-user"
Connect = Callable[[], UnleashClient]


@pytest.fixture
def connect(url: str, installation: Installation, tmp_path: Path) -> Iterator[Connect]:
    """A client that polls each second, in production."""
    made = []

    def connect() -> UnleashClient:
        client = UnleashClient(
            f"{url}/api",
            "shop",
            custom_headers={"Authorization": installation.token("client")},
            refresh_interval=1,
            metrics_interval=1,
            cache=FileCache("shop", directory=str(tmp_path / "cache")),
        )
        client.initialize_client()
        made.append(client)
        return client

    yield connect
    for client in made:
        client.destroy()


def test_it_sees_each_phase_and_the_rollback(
    connect: Connect, installation: Installation, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    installation.users(UserAttributes(BETA, "free", beta=True))
    client = connect()
    assert not client.is_enabled(FLAG, {"userId": BETA})
    installation.move(1)
    eventually(lambda: client.is_enabled(FLAG, {"userId": BETA}))
    assert not client.is_enabled(FLAG, {"userId": OLD})
    installation.move(2, 3)
    eventually(lambda: client.is_enabled(FLAG, _signed_up(NEW, CUTOVER + timedelta(days=1))))
    assert not client.is_enabled(FLAG, _signed_up(OLD, CUTOVER - timedelta(days=1)))
    installation.move(3, 1)
    inside, outside = _user(lambda place: place <= 25), _user(lambda place: place > 25)
    eventually(lambda: client.is_enabled(FLAG, {"userId": inside}))
    assert not client.is_enabled(FLAG, {"userId": outside})
    installation.roll_back()
    eventually(lambda: not client.is_enabled(FLAG, {"userId": inside}))
    assert not client.is_enabled(FLAG, {"userId": BETA})


def test_nothing_is_sent_again_while_nothing_changes(url: str, installation: Installation) -> None:
    headers = {"Authorization": installation.token("client"), "Unleash-Client-Spec": "6.1.0"}
    first = requests.get(f"{url}/api/client/features", headers=headers, timeout=5)
    assert first.status_code == 200
    again = requests.get(
        f"{url}/api/client/features", headers=headers | {"If-None-Match": first.headers["ETag"]}, timeout=5
    )
    assert (again.status_code, again.content) == (304, b"")


def _signed_up(user_id: str, at: datetime) -> dict[str, Any]:
    return {"userId": user_id, "properties": {"signupDate": format_timestamp(at)}}


def _user(has: Callable[[int], bool]) -> str:
    return next(name for name in map("user-{}".format, range(1000)) if has(bucket(FLAG, name)))
