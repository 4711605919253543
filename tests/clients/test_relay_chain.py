"""A relay behind a relay: what reaches the last one, and what happens when the one between is away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from control_plane.experiments.credits import FLAG
from flags.store import UserAttributes
from tests.installation import Installation
from tests.processes import free_port
from tests.relaying import client, relaying

pytestmark = pytest.mark.faults

Wait = Callable[[Callable[[], bool]], None]
BETA = {"userId": "beta-user"}


class Chain:
    """Two relays in a row, each with a folder of its own; the first can be taken away and come back."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self._url, self._token = url, token
        self._places = folder / "near", folder / "far"
        for place in self._places:
            place.mkdir()
        self._port = free_port()
        self._near, self._far = ExitStack(), ExitStack()

    def start(self) -> str:
        """Start both; returns the address of the far one."""
        self.start_near()
        near = f"http://127.0.0.1:{self._port}"
        return self._far.enter_context(relaying(self._places[1], near, self._token))

    def start_near(self) -> None:
        self._near.enter_context(relaying(self._places[0], self._url, self._token, port=self._port))

    def stop_near(self) -> None:
        self._near.close()

    def stop(self) -> None:
        self._far.close()
        self._near.close()


@pytest.fixture
def chain(url: str, installation: Installation, tmp_path: Path) -> Chain:
    return Chain(url, installation.token("client"), tmp_path)


@pytest.fixture
def far(chain: Chain) -> Iterator[str]:
    """The address of the relay behind the relay."""
    yield chain.start()
    chain.stop()


def test_a_change_passes_through_both_and_reports_come_back(
    url: str, installation: Installation, far: str, tmp_path: Path, eventually: Wait
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    admin = {"Authorization": installation.token("admin")}
    with client(far, installation.token("client"), tmp_path, mode="streaming") as follows:
        eventually(lambda: FLAG in follows.feature_definitions())
        installation.move(1)
        eventually(lambda: follows.is_enabled(FLAG, BETA))
        installation.roll_back()
        eventually(lambda: not follows.is_enabled(FLAG, BETA))

        def counted() -> int:
            usage = requests.get(f"{url}/api/flags/{FLAG}/usage", headers=admin, timeout=5).json()
            answers = usage["applications"].get("shop-streaming", {})
            return int(answers.get("yes", 0) + answers.get("no", 0))

        eventually(lambda: counted() > 0)


def test_without_the_one_between_the_last_serves_on_and_catches_up(
    installation: Installation, chain: Chain, far: str, tmp_path: Path, eventually: Wait
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    with client(far, installation.token("client"), tmp_path, mode="streaming") as follows:
        eventually(lambda: FLAG in follows.feature_definitions())
        before = follows.is_enabled(FLAG, BETA)
        chain.stop_near()
        installation.move(1)
        assert follows.is_enabled(FLAG, BETA) is before
        assert requests.get(f"{far}/healthz", timeout=5).ok
        chain.start_near()
        eventually(lambda: follows.is_enabled(FLAG, BETA) is not before)
        installation.roll_back()
        eventually(lambda: follows.is_enabled(FLAG, BETA) is before)


def test_a_token_that_is_ended_at_the_origin_opens_the_last_one_no_more(
    url: str, installation: Installation, far: str, eventually: Wait
) -> None:
    theirs, admin = installation.token("client"), {"Authorization": installation.token("admin")}

    def status() -> int:
        return requests.get(f"{far}/api/client/features", headers={"Authorization": theirs}, timeout=5).status_code

    eventually(lambda: status() == 200)
    tokens = requests.get(f"{url}/api/tokens", headers=admin, timeout=5).json()["tokens"]
    [found] = [each for each in tokens if each["selector"] in theirs]
    requests.delete(f"{url}/api/tokens/{found['id']}", json={"reason": "-"}, headers=admin, timeout=5)
    eventually(lambda: status() == 401)
