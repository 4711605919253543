"""The public client-specification: each state goes in through our API and comes out of our wire to UnleashClient."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from tests import node
from tests.installation import Installation

VERSION, CASES = "6.1.0", 279
FILES = (
    "01-simple-examples",
    "02-user-with-id-strategy",
    "03-gradual-rollout-user-id-strategy",
    "04-gradual-rollout-session-id-strategy",
    "05-gradual-rollout-random-strategy",
    "06-remote-address-strategy",
    "07-multiple-strategies",
    "08-variants",
    "09-strategy-constraints",
    "10-flexible-rollout-strategy",
    "11-strategy-constraints-edge-cases",
    "12-custom-stickiness",
    "13-constraint-operators",
    "14-constraint-semver-operators",
    "15-global-constraints",
    "16-strategy-variants",
    "17-dependent-features",
    "18-utf8-flag-names",
    "19-delta-api-hydration",
    "20-delta-api-events",
    "21-regex-constraint-operators",
    "22-cidr-constraint-operators",
)
Take = Callable[[str, Any], UnleashClient]


@pytest.fixture(scope="module")
def specification() -> Path:
    """The folder of the specification's files."""
    return node.packages() / "@unleash" / "client-specification"


@pytest.fixture
def take(url: str, installation: Installation, tmp_path: Path) -> Iterator[Take]:
    """Import a state into an environment of its own; gives the client that has it."""
    made = []

    def take(environment: str, state: Any) -> UnleashClient:
        answer = requests.post(
            f"{url}/api/environments/{environment}/import",
            params={"confirmMoving": "true"},
            json=state,
            headers={"Authorization": installation.token("admin")},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        client = UnleashClient(
            f"{url}/api",
            "specification",
            custom_headers={"Authorization": installation.token("client", environment=environment)},
            disable_metrics=True,
            cache=FileCache("specification", directory=str(tmp_path)),
        )
        client.unleash_static_context = {}
        client.initialize_client()
        made.append(client)
        return client

    yield take
    for client in made:
        client.destroy()


@pytest.mark.parametrize("name", FILES)
def test_every_case_passes(specification: Path, take: Take, name: str) -> None:
    case = json.loads((specification / "specifications" / f"{name}.json").read_text())
    client = take(f"spec-{name[:2]}", case["state"])
    wrong = [
        each["description"]
        for each in case.get("tests", ())
        if client.is_enabled(each["toggleName"], each["context"]) is not each["expectedResult"]
    ]
    wrong += [
        each["description"]
        for each in case.get("variantTests", ())
        if _variant(client.get_variant(each["toggleName"], each["context"])) != _variant(each["expectedResult"])
    ]
    assert wrong == []


def test_these_are_all_cases_there_are(specification: Path) -> None:
    folder = specification / "specifications"
    assert json.loads((specification / "package.json").read_text())["version"] == VERSION
    assert json.loads((folder / "index.json").read_text()) == [f"{name}.json" for name in FILES]
    cases = [json.loads((folder / f"{name}.json").read_text()) for name in FILES]
    assert sum(len(case.get("tests", ())) + len(case.get("variantTests", ())) for case in cases) == CASES


def _variant(variant: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in variant.items() if value is not None}
