"""One meaning: random features of every kind are answered alike by every engine, here and by a real unleash-server.

The short run goes with every test; the long one has 300 features, 30,000 questions an engine and 201 changes, beside
unleash-server itself.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from control_plane.experiments.credits import FLAG
from flags.unleash.delta import FeatureState
from tests import unleash
from tests.clients import engines
from tests.clients import features_at_random as at_random
from tests.installation import Installation

SEEDS = (11, 12, 13)
SPEC = {"Unleash-Client-Spec": "6.1.0"}
Wait = Callable[[Callable[[], bool]], None]
Wire = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OurServer:
    """An environment of our server, and who may do what there."""

    url: str
    environment: str
    admin: str
    client: str
    frontend: str

    def take(self, features: list[Wire], segments: list[Wire], **options: str) -> Wire:
        """Import a state, and say what became of it."""
        answer = requests.post(
            f"{self.url}/api/environments/{self.environment}/import",
            params=options,
            json={"version": 2, "features": features, "segments": segments},
            headers={"Authorization": self.admin},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        found: Wire = answer.json()
        return found

    def change(self, method: str, path: str, document: Wire) -> None:
        """Change one flag by the API that people use."""
        headers = {"Authorization": self.admin}
        answer = requests.request(method, f"{self.url}/api/flags/{path}", json=document, headers=headers, timeout=60)
        assert answer.ok, answer.text

    def remove(self, flag: str) -> None:
        """Remove a flag from this environment; others may have one of its name."""
        headers = {"Authorization": self.admin}
        detail = requests.get(f"{self.url}/api/flags/{flag}", headers=headers, timeout=60).json()
        document = {"version": detail["environments"][self.environment]["version"], "reason": "At random."}
        self.change("DELETE", f"{flag}/environments/{self.environment}", document)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Answer the request of an SDK for `path`."""
        return requests.get(
            f"{self.url}/api/client/{path}", headers={"Authorization": self.client, **SPEC, **headers}, timeout=60
        )


@pytest.fixture
def ours(url: str, installation: Installation) -> Callable[[str], OurServer]:
    """An environment of its own, by its name."""

    def make(environment: str) -> OurServer:
        tokens = [installation.token(kind, environment=environment) for kind in ("client", "frontend")]
        return OurServer(url, environment, installation.token("admin"), *tokens)

    return make


def answers(made: OurServer, names: list[str], contexts: list[Wire], place: Path) -> dict[str, engines.Answers]:
    """Ask each engine for the flags of our server."""
    place.mkdir(exist_ok=True)
    payload = made.get("features").json()
    return {
        "python": engines.python_sdk(made.url, made.client, names, contexts, place),
        "node": engines.node_sdk(made.url, made.client, names, contexts, place / "node"),
        "compiled": engines.compiled_rules(payload, names, contexts),
        "frontend": engines.frontend(made.url, made.frontend, names, contexts),
        "ofrep": engines.ofrep(made.url, made.client, names, contexts),
    }


def differing(found: dict[str, engines.Answers], features: list[Wire]) -> dict[str, Any]:
    """Return each engine that answers some question otherwise than the SDK for Python."""
    reference = found["python"]
    in_ofrep = engines.as_ofrep_says(reference, features)
    compared = {
        name: engines.differences(in_ofrep if name == "ofrep" else reference, each) for name, each in found.items()
    }
    return {name: each[:5] for name, each in compared.items() if each}


def assert_varied(reference: engines.Answers) -> None:
    """Hold that the questions were worth asking: on and off, with variants and without."""
    on = sum(value for value, _ in reference.values())
    assert 0.2 < on / len(reference) < 0.8
    assert sum(variant is not None for _, variant in reference.values()) > len(reference) / 50


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_every_engine_gives_one_answer(seed: int, ours: Callable[[str], OurServer], tmp_path: Path) -> None:
    chance = random.Random(seed)
    features, segments = at_random.features(chance, 150)
    made = ours(f"differential-{seed}")
    assert made.take(features, segments)["refused"] == []
    names = [each["name"] for each in features]
    found = answers(made, names, [at_random.context(chance) for _ in range(20)], tmp_path / "sdk")
    assert differing(found, features) == {}
    assert_varied(found["python"])


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_every_engine_gives_one_answer_to_thirty_thousand_questions(
    seed: int, ours: Callable[[str], OurServer], tmp_path: Path
) -> None:
    chance = random.Random(1000 + seed)
    features, segments = at_random.features(chance, 300)
    made = ours(f"whole-{seed}")
    assert made.take(features, segments)["refused"] == []
    names = [each["name"] for each in features]
    found = answers(made, names, [at_random.context(chance) for _ in range(100)], tmp_path / "sdk")
    assert differing(found, features) == {}
    assert_varied(found["python"])


@pytest.mark.long
def test_a_real_unleash_server_gives_the_same_answers(ours: Callable[[str], OurServer], tmp_path: Path) -> None:
    chance = random.Random(2025)
    features, segments = at_random.features(chance, 300)
    at_random.acceptable(features, segments)
    contexts = [at_random.context(chance) for _ in range(100)]
    names = [each["name"] for each in features]
    try:
        with unleash.running(tmp_path) as theirs:
            theirs.enter(features, segments)
            (tmp_path / "theirs").mkdir()
            entered = theirs.features()
            of_python = engines.python_sdk(theirs.url, theirs.client, names, contexts, tmp_path / "theirs")
            of_node = engines.node_sdk(theirs.url, theirs.client, names, contexts, tmp_path / "theirs" / "node")
            of_frontend = engines.frontend(theirs.url, theirs.frontend, names, contexts)
    except unleash.UnleashUnavailable as unavailable:
        pytest.fail(f"This comparison needs npm and PostgreSQL: {unavailable}")
    assert len(entered["features"]) == 300
    made = ours("beside-unleash")
    taken = made.take(entered["features"], entered["segments"])
    assert taken["refused"] == []
    found = answers(made, names, contexts, tmp_path / "ours")
    assert differing(found, entered["features"]) == {}
    assert engines.differences(found["python"], of_python) == []
    assert engines.differences(found["node"], of_node) == []
    # Their frontend does not load a parent that is off: it says off where their own SDKs say on, and so do we.
    off = {each["name"] for each in features if not each["enabled"]}
    after_one = {each["name"] for each in features for parent in each["dependencies"] if parent["feature"] in off}
    unexplained = [each for each in engines.differences(found["frontend"], of_frontend) if each[1] not in after_one]
    assert unexplained == []


@dataclass(slots=True)
class Changes:
    """Random changes of an environment, as people and programs make them."""

    chance: random.Random
    made: OurServer
    names: list[str]

    def one(self) -> None:
        """Import a few flags, replace them all, switch one, or delete one."""
        match self.chance.choices(("import", "replace", "switch", "delete"), (10, 1, 5, 3))[0]:
            case "import":
                self.take(self.chance.randint(1, 6), replace=False)
            case "replace":
                self.take(self.chance.randint(20, 40), replace=True)
            case "switch":
                path = f"{self.chance.choice(self.names)}/environments/{self.made.environment}"
                self.made.change("PUT", path, {"enabled": self.chance.random() < 0.5, "reason": "At random."})
            case "delete":
                parents = self._parents()
                free = [name for name in self.names if name not in parents]
                if len(free) > 5:
                    name = self.chance.choice(free)
                    self.made.remove(name)
                    self.names.remove(name)

    def take(self, number: int, *, replace: bool) -> None:
        first = 0 if replace else self.chance.randrange(400)
        features, segments = at_random.features(self.chance, number, first=first)
        options = {"replace": "true"} if replace else {}
        # The segments are others each time, and flags that are there already go by them.
        taken = self.made.take(features, segments, confirmMoving="true", **options)
        # A feature may have lost the variant that another one still depends on: refused by name, as it should be.
        refused = {each["flag"] for each in taken["refused"]}
        names = [each["name"] for each in features if each["name"] not in refused]
        self.names = names if replace else sorted({*self.names, *names})

    def _parents(self) -> set[str]:
        features = self.made.get("features").json()["features"]
        return {parent["feature"] for each in features for parent in each.get("dependencies") or ()}


@dataclass(slots=True)
class Follower:
    """An SDK that asks for the deltas since the last time, and for everything to compare."""

    made: OurServer
    state: FeatureState
    tag: str = ""

    def catch_up(self) -> Wire | None:
        """Return all flags once they are those stored last and the deltas lead there; None while they are not."""
        headers = {"Authorization": self.made.admin}
        path = f"{self.made.url}/api/environments/{self.made.environment}/export"
        stored = requests.get(path, headers=headers, timeout=60).json()
        delta = self.made.get("delta", **({"If-None-Match": self.tag} if self.tag else {}))
        self.tag = delta.headers["ETag"]
        self.state.apply(delta.json()["events"] if delta.status_code == 200 else [])
        whole: Wire = self.made.get("features").json()
        known = _by_key(whole)
        is_new = {name: each for name, each in known[0].items() if name != FLAG} == _by_key(stored)[0]
        return whole if is_new and _by_key(self.state.to_json()) == known else None


def catch_up(follower: Follower, known: list[Wire]) -> bool:
    """Ask for the deltas; add the whole to `known` and return True once they are all there."""
    whole = follower.catch_up()
    if whole is None:
        return False
    known.append(whole)
    return True


def follow_changes(number: int, made: OurServer, seed: int, tmp_path: Path, eventually: Wait) -> None:
    """Hold after each change that who follows by deltas or by a stream knows what who asks for everything knows."""
    changes, follower = Changes(random.Random(seed), made, []), Follower(made, FeatureState())
    changes.take(40, replace=True)
    with engines.node_asking(made.url, made.client, tmp_path / "stream", "streaming") as ask:
        for _ in range(number):
            changes.one()
            known: list[Wire] = []
            eventually(partial(catch_up, follower, known))
            names = changes.chance.sample(changes.names, min(8, len(changes.names)))
            context = at_random.context(changes.chance)
            expected = engines.compiled_rules(known[-1], names, [context])
            eventually(lambda: all(ask(name, context) == expected[0, name] for name in names))  # noqa: B023


def test_who_follows_knows_what_who_asks_for_everything_knows(
    ours: Callable[[str], OurServer], tmp_path: Path, eventually: Wait
) -> None:
    follow_changes(12, ours("changes"), 5, tmp_path, eventually)


@pytest.mark.long
def test_who_follows_two_hundred_and_one_changes_knows_everything(
    ours: Callable[[str], OurServer], tmp_path: Path, eventually: Wait
) -> None:
    follow_changes(201, ours("many-changes"), 6, tmp_path, eventually)


def _by_key(document: Any) -> tuple[dict[str, Any], dict[int, Any]]:
    return (
        {each["name"]: each for each in document["features"]},
        {each["id"]: each for each in document["segments"]},
    )
