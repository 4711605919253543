"""UnleashClient in streaming mode: changes as they happen, and nothing lost when the stream is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane.experiments.credits import FLAG
from flags.store import UserAttributes
from tests.installation import Installation

Connect = Callable[[], UnleashClient]
Wait = Callable[[Callable[[], bool]], None]
BETA = {"userId": "beta-user"}


@pytest.fixture
def connect(url: str, installation: Installation, tmp_path: Path) -> Iterator[Connect]:
    """A client that follows the stream, in production."""
    made = []

    def connect() -> UnleashClient:
        client = UnleashClient(
            f"{url}/api",
            "shop",
            custom_headers={"Authorization": installation.token("client")},
            disable_metrics=True,
            experimental_mode={"type": "streaming"},
            cache=FileCache("shop", directory=str(tmp_path / "cache")),
        )
        client.initialize_client()
        made.append(client)
        return client

    yield connect
    for client in made:
        client.destroy()


def test_it_hears_of_phase_and_rollback(connect: Connect, installation: Installation, eventually: Wait) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    client = connect()
    eventually(lambda: FLAG in client.feature_definitions())
    installation.move(1)
    eventually(lambda: client.is_enabled(FLAG, BETA))
    installation.roll_back()
    eventually(lambda: not client.is_enabled(FLAG, BETA))
