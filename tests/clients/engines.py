"""Everything that answers for a flag: official SDKs, our compiled rules and our protocols, asked the same questions."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from flags.unleash.feature_payload import FeaturePayload
from flags.unleash.imported_flag import EngineContext, imported_flags
from tests import node

Answer = tuple[bool, str | None]
"""Whether the flag is on, and which variant it has; no variant where it is off or has none."""
Answers = dict[tuple[int, str], Answer]
"""By the number of the context and the flag."""
Wires = Sequence[Mapping[str, Any]]
NONE = "disabled"
ASK = node.PROJECT / "ask.js"


def python_sdk(url: str, token: str, names: Sequence[str], contexts: Wires, place: Path) -> Answers:
    """Return the answers of Unleash's SDK for Python."""
    sdk = UnleashClient(
        f"{url}/api",
        "differential",
        custom_headers={"Authorization": token},
        disable_metrics=True,
        disable_registration=True,
        cache=FileCache("differential", directory=str(place)),
    )
    sdk.initialize_client()
    try:
        return {
            (number, name): _answer(sdk.is_enabled(name, dict(context)), sdk.get_variant(name, dict(context))["name"])
            for number, context in enumerate(contexts)
            for name in names
        }
    finally:
        sdk.destroy()


def node_sdk(url: str, token: str, names: Sequence[str], contexts: Wires, place: Path) -> Answers:
    """Return the answers of Unleash's SDK for Node, which polls."""
    with node_asking(url, token, place, "polling") as ask:
        return {(number, name): ask(name, context) for number, context in enumerate(contexts) for name in names}


@contextmanager
def node_asking(url: str, token: str, place: Path, kind: str) -> Iterator[Callable[[str, Mapping[str, Any]], Answer]]:
    """Yield `ask(flag, context)` while the block lasts."""
    place.mkdir(exist_ok=True)
    command = [str(node.NODE), "--experimental-eventsource", str(ASK), kind, url, token]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=node.environment(BACKUP=str(place)), **pipes) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        write, read = program.stdin, program.stdout

        def ask(flag: str, context: Mapping[str, Any]) -> Answer:
            write.write(json.dumps({"flag": flag, "context": context}) + "\n")
            write.flush()
            answer = json.loads(read.readline())
            return _answer(answer["value"], answer["variant"])

        yield ask
        write.close()


def compiled_rules(payload: Mapping[str, Any], names: Sequence[str], contexts: Wires) -> Answers:
    """Return the answers of our compiled rules, and of the engine where a flag is none of those."""
    flags = imported_flags(FeaturePayload.of(payload["features"], payload.get("segments") or ()), names)
    found: Answers = {}
    for number, context in enumerate(contexts):
        asked = EngineContext({**context, "environment": "development", "currentTime": "2026-07-01T00:00:00.000Z"})
        for name in names:
            variant = flags[name].variant(asked) or {}
            found[number, name] = _answer(flags[name].is_on(asked), str(variant.get("name", NONE)))
    return found


def frontend(url: str, token: str, names: Sequence[str], contexts: Wires) -> Answers:
    """Return the answers of the frontend API, of ours or of Unleash's."""
    found: Answers = {}
    with requests.Session() as session:
        for number, context in enumerate(contexts):
            answer = session.post(
                f"{url}/api/frontend", json={"context": context}, headers={"Authorization": token}, timeout=60
            )
            answer.raise_for_status()
            toggles = {each["name"]: each["variant"]["name"] for each in answer.json()["toggles"]}
            for name in names:
                found[number, name] = _answer(name in toggles, toggles.get(name, NONE))
    return found


def ofrep(url: str, token: str, names: Sequence[str], contexts: Wires) -> Answers:
    """Return the answers of OFREP's evaluation of all flags."""
    found: Answers = {}
    with requests.Session() as session:
        for number, context in enumerate(contexts):
            fields = {name: value for name, value in context.items() if name != "properties"}
            fields |= {"targetingKey": fields.pop("userId"), **context["properties"]}
            answer = session.post(
                f"{url}/ofrep/v1/evaluate/flags",
                json={"context": fields},
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
            answer.raise_for_status()
            flags = {each["key"]: each for each in answer.json()["flags"]}
            for name in names:
                found[number, name] = _of_ofrep(flags[name])
    return found


def as_ofrep_says(answers: Answers, features: Iterable[Mapping[str, Any]]) -> Answers:
    """Return the answers in OFREP's words: a flag that has variants and gives none has no value, on or off."""
    varied = {
        each["name"]
        for each in features
        if each.get("variants") or any(strategy.get("variants") for strategy in each["strategies"])
    }
    return {
        (number, name): (answer[1] is not None, answer[1]) if name in varied else answer
        for (number, name), answer in answers.items()
    }


def differences(one: Answers, other: Answers) -> list[tuple[int, str, Answer, Answer]]:
    """Return the questions that the two answer differently."""
    assert one.keys() == other.keys()
    return [(*question, answer, other[question]) for question, answer in one.items() if answer != other[question]]


def _answer(value: bool, variant: str) -> Answer:
    return value, variant if value and variant != NONE else None


def _of_ofrep(flag: Mapping[str, Any]) -> Answer:
    if "value" not in flag:
        assert flag.get("variant") == NONE, flag
        return False, None
    return (flag["value"], None) if flag["variant"] in ("on", "off") else (True, flag["variant"])
