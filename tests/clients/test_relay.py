"""`rollout relay` in front of the real server, and official clients behind it that notice nothing."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from control_plane.experiments.credits import FLAG
from flags.store import UserAttributes
from tests.installation import Installation
from tests.processes import free_port
from tests.relaying import client, relaying
from tests.serving import COMMAND

pytestmark = pytest.mark.faults

Wait = Callable[[Callable[[], bool]], None]
BETA = {"userId": "beta-user"}


def test_clients_behind_it_notice_nothing(
    url: str, installation: Installation, tmp_path: Path, eventually: Wait
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    token, browser = installation.token("client"), installation.token("frontend", trusted_attributes=["*"])
    with (
        relaying(tmp_path, url, token) as address,
        client(address, installation.token("client"), tmp_path, mode="polling") as polls,
        client(address, installation.token("client"), tmp_path, mode="streaming") as follows,
    ):
        eventually(lambda: all(FLAG in each.feature_definitions() for each in (polls, follows)))
        installation.move(1)
        eventually(lambda: all(each.is_enabled(FLAG, BETA) for each in (polls, follows)))
        toggles = requests.get(
            f"{address}/api/frontend?userId=beta-user", headers={"Authorization": browser}, timeout=5
        )
        assert [toggle["name"] for toggle in toggles.json()["toggles"]] == [FLAG]
        evaluated = requests.post(
            f"{address}/ofrep/v1/evaluate/flags/{FLAG}",
            json={"context": {"targetingKey": "beta-user"}},
            headers={"Authorization": token},
            timeout=5,
        )
        assert evaluated.json()["value"] is True
        installation.roll_back()
        eventually(lambda: not any(each.is_enabled(FLAG, BETA) for each in (polls, follows)))


def test_what_services_report_reaches_upstream(
    url: str, installation: Installation, tmp_path: Path, eventually: Wait
) -> None:
    token, admin = installation.token("client"), {"Authorization": installation.token("admin")}
    with relaying(tmp_path, url, token) as address, client(address, token, tmp_path, mode="polling") as polls:
        eventually(lambda: FLAG in polls.feature_definitions())
        for _ in range(7):
            polls.is_enabled(FLAG)
        usage = f"{url}/api/flags/{FLAG}/usage"
        eventually(
            lambda: (
                requests.get(usage, headers=admin, timeout=5)
                .json()["applications"]
                .get("shop-polling", {})
                .get("no", 0)
                >= 7
            )
        )


def test_it_starts_without_upstream_from_what_it_kept(
    installation: Installation, url: str, tmp_path: Path, eventually: Wait
) -> None:
    token, nowhere = installation.token("client", environment="staging"), f"http://127.0.0.1:{free_port()}"
    headers = {"Authorization": token, "Unleash-Client-Spec": "6.1.0"}

    def payload(address: str) -> requests.Response:
        return requests.get(f"{address}/api/client/features", headers=headers, timeout=5)

    with relaying(tmp_path, url, token) as address:
        eventually(lambda: payload(address).status_code == 200)
        before = payload(address)
    with relaying(tmp_path, nowhere, token) as address:
        after = payload(address)
        assert after.json()["features"] == before.json()["features"]
        assert int(after.headers["Rollout-Stale-Seconds"]) >= 0
        stranger = requests.get(f"{address}/api/client/features", headers={"Authorization": "*:staging.x"}, timeout=5)
        assert stranger.status_code == 503, "a fault of ours never looks like a wrong token"


def test_a_token_that_is_ended_upstream_is_ended_here(
    installation: Installation, url: str, tmp_path: Path, eventually: Wait
) -> None:
    own, theirs, admin = (
        installation.token("client"),
        installation.token("client"),
        {"Authorization": installation.token("admin")},
    )
    with relaying(tmp_path, url, own) as address:

        def status() -> int:
            features = f"{address}/api/client/features"
            return requests.get(features, headers={"Authorization": theirs}, timeout=5).status_code

        eventually(lambda: status() == 200)
        tokens = requests.get(f"{url}/api/tokens", headers=admin, timeout=5).json()["tokens"]
        [found] = [each for each in tokens if each["selector"] in theirs]
        requests.delete(f"{url}/api/tokens/{found['id']}", json={"reason": "-"}, headers=admin, timeout=5)
        eventually(lambda: status() == 401)


@pytest.mark.parametrize("token", ["nonsense", "production"])
def test_a_token_that_names_no_environment_is_refused_at_once(tmp_path: Path, token: str) -> None:
    done = subprocess.run(
        [COMMAND, "relay", "--upstream", "http://127.0.0.1:1", "--token", token],
        cwd=tmp_path,
        env={"INSTANCE_DIR": str(tmp_path), "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "is no token of an SDK" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_filters_by_what_it_knows_and_says_what_it_does_not(
    url: str, installation: Installation, tmp_path: Path, eventually: Wait
) -> None:
    token = installation.token("client")
    with relaying(tmp_path, url, token) as address:

        def ask(query: str) -> requests.Response:
            headers = {"Authorization": token}
            return requests.get(f"{address}/api/client/features/?{query}", headers=headers, timeout=5)

        eventually(lambda: ask("").ok)
        assert [each["name"] for each in ask("namePrefix=ENABLE").json()["features"]] == [FLAG]
        assert ask("project=nope").json()["features"] == []
        refused = ask("tag=simple:shop")
        assert (refused.status_code, "A relay knows no tags" in refused.json()["message"]) == (400, True)
