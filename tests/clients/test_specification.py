"""The public client-specification: each state goes in through our API and comes out of our wire to every client."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from tests import node
from tests.clients import engines
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
OF_OTHER_ENVIRONMENTS = {
    "09-strategy-constraints": {
        "Enabled in prod for userId=123",
        "Feature.constraints.custom should be enabled in prod for norway",
        "Feature.constraints.dual should be enabled in prod",
        "Feature.constraints.list should be enabled in stage environment",
        "Feature.constraints.multi should be enabled in prod for user 2",
        "Feature.constraints.simple should be enabled in dev environment",
    },
    "16-strategy-variants": {
        "Feature.strategy.variant should return variant on enabled toggle",
        "Feature.strategy.variant.overrides.feature.variant should override feature variant",
    },
    "17-dependent-features": {"Child yields its variant when parent is enabled with child context."},
}
"""What asks for an environment by the context: where flags are evaluated here it is that of the token."""
OF_THE_REQUEST = {
    "04-gradual-rollout-session-id-strategy": {"Feature.A4 should be disabled when no user on context"},
    "06-remote-address-strategy": {
        "Feature.remoteAddress.A should not be enabled for missing remoteAddress on context"
    },
}
"""What is filled in by the frontend API: a session and an address that are missing are those of the request."""
CHILD_IS_ON = "Child is enabled if its parent is enabled with child context."
"""Of another environment too; OFREP does not say of a flag with variants that it is off."""
EXPLAINED = {"ofrep": OF_OTHER_ENVIRONMENTS, "frontend": OF_OTHER_ENVIRONMENTS | OF_THE_REQUEST}
EXPLAINED["frontend"]["17-dependent-features"] = {*OF_OTHER_ENVIRONMENTS["17-dependent-features"], CHILD_IS_ON}
Ask = Callable[[str, dict[str, Any]], engines.Answer]
"""Gives a flag for a context: whether it is on, and its variant; neither where a client does not say it."""
Asking = Callable[[str, Any], Any]


@pytest.fixture(scope="module")
def specification() -> Path:
    """The folder of the specification's files."""
    return node.packages() / "@unleash" / "client-specification" / "specifications"


@pytest.fixture
def asking(url: str, installation: Installation, tmp_path: Path) -> Asking:
    """`with asking("python", state) as ask` imports a state into an environment of its own, for one client."""

    @contextmanager
    def ask(client: str, state: Any) -> Iterator[Ask]:
        environment = f"spec-{tmp_path.name[-12:].strip('-_').lower().replace('_', '-')}"
        answer = requests.post(
            f"{url}/api/environments/{environment}/import",
            params={"confirmMoving": "true"},
            json=state,
            headers={"Authorization": installation.token("admin")},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        kind = "frontend" if client == "frontend" else "client"
        token = installation.token(kind, environment=environment)
        with CLIENTS[client](url, token, tmp_path) as found:
            yield found

    return ask


@contextmanager
def _python(url: str, token: str, place: Path) -> Iterator[Ask]:
    client = UnleashClient(
        f"{url}/api",
        "specification",
        custom_headers={"Authorization": token},
        disable_metrics=True,
        cache=FileCache("specification", directory=str(place)),
    )
    client.unleash_static_context = {}
    client.initialize_client()
    yield lambda flag, context: (client.is_enabled(flag, context), client.get_variant(flag, context)["name"])
    client.destroy()


def _node(kind: str) -> Any:
    return lambda url, token, place: engines.node_asking(url, token, place / "node", kind)


@contextmanager
def _frontend(url: str, token: str, _place: Path) -> Iterator[Ask]:
    def ask(flag: str, context: dict[str, Any]) -> engines.Answer:
        answer = requests.post(
            f"{url}/api/frontend", json={"context": context}, headers={"Authorization": token}, timeout=30
        )
        toggles = {each["name"]: each["variant"]["name"] for each in answer.json()["toggles"]}
        return flag in toggles, toggles.get(flag)

    yield ask


@contextmanager
def _ofrep(url: str, token: str, _place: Path) -> Iterator[Ask]:
    def ask(flag: str, context: dict[str, Any]) -> engines.Answer:
        fields = {name: value for name, value in context.items() if name not in ("properties", "userId")}
        key = {"targetingKey": context["userId"]} if "userId" in context else {}
        answer = requests.post(
            f"{url}/ofrep/v1/evaluate/flags/{flag}",
            json={"context": {**(context.get("properties") or {}), **fields, **key}},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ).json()
        if "errorCode" in answer:
            assert answer["errorCode"] in ("FLAG_NOT_FOUND", "TARGETING_KEY_MISSING"), answer
            return False, None
        named = answer["variant"] not in ("on", "off", "disabled")
        return (True, answer["variant"]) if named else (answer.get("value"), None)

    yield ask


CLIENTS: dict[str, Any] = {
    "python": _python,
    "frontend": _frontend,
    "ofrep": _ofrep,
    "polling": _node("polling"),
    "delta": _node("delta"),
    "streaming": _node("streaming"),
}
BRIEF = ("python", "frontend")
"""Those that go with every run."""


@pytest.mark.parametrize(
    "client", [pytest.param(each, marks=pytest.mark.long) if each not in BRIEF else each for each in CLIENTS]
)
@pytest.mark.parametrize("name", FILES)
def test_every_case_passes_or_is_explained(specification: Path, asking: Asking, name: str, client: str) -> None:
    case = json.loads((specification / f"{name}.json").read_text())
    missed = set()
    with asking(client, case["state"]) as ask:
        for each in case.get("tests", ()):
            value, _ = ask(each["toggleName"], each["context"])
            if value not in (each["expectedResult"], None):
                missed.add(each["description"])
        for each in case.get("variantTests", ()):
            _, variant = ask(each["toggleName"], each["context"])
            expected = each["expectedResult"]["name"] if each["expectedResult"]["enabled"] else None
            if (None if variant == engines.NONE else variant) != expected:
                missed.add(each["description"])
    assert missed == EXPLAINED.get(client, {}).get(name, set())


def test_these_are_all_cases_there_are(specification: Path) -> None:
    assert json.loads((specification.parent / "package.json").read_text())["version"] == VERSION
    assert json.loads((specification / "index.json").read_text()) == [f"{name}.json" for name in FILES]
    cases = [json.loads((specification / f"{name}.json").read_text()) for name in FILES]
    assert sum(len(case.get("tests", ())) + len(case.get("variantTests", ())) for case in cases) == CASES
