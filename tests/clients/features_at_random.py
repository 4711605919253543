"""Features of every kind in Unleash's own form, and who asks for them: all that follows from one `random.Random`.

What the official engines are known to read differently stays out, because import refuses or repairs it, or a page says
so: ids and stickiness beyond ASCII, empty texts, numbers with an exponent. Whatever draws at random is at 0 or 100 %.
"""

import random
from collections.abc import Callable
from typing import Any

Wire = dict[str, Any]

TIERS = ("free", "pro", "team")
REGIONS = ("eu", "us", "apac")
STICKINESS = ("default", "userId", "sessionId", "tier")
TEXTS = ("ann", "a.b", "eu", "pro", "1", "mail.example", "-x", "Team", "US")
PATTERNS = (r"^a", r"[0-9]+$", r"(ann|bob)-[0-9]", "example\\.com$", "^.*7$")
PERCENTAGES = ("0", "1", "10", "25", "50", "75", "99", "100")
VERSIONS = ("1.0.0", "1.2.3", "2.0.0-beta.1", "2.0.0", "10.4.1")
DATES = ("2019-01-01T00:00:00.000Z", "2024-06-01T12:30:00.000Z", "2099-01-01T00:00:00.000Z")
NETWORKS = ("10.0.0.0/8", "192.168.1.0/24", "127.0.0.1", "203.0.113.7", "2001:db8::/32")
ADDRESSES = ("10.1.2.3", "192.168.1.77", "203.0.113.7", "198.51.100.9", "2001:db8::7")
SEGMENTS = 12


def features(chance: random.Random, number: int, *, first: int = 0) -> tuple[list[Wire], list[Wire]]:
    """So many features and the twelve segments that they may name."""
    segments = [
        {"id": key, "name": f"segment {key}", "constraints": _some(chance, constraint, 1, 2)}
        for key in range(1, SEGMENTS + 1)
    ]
    made: list[Wire] = []
    for place in range(first, first + number):
        parents = [each for each in made if not each["dependencies"]]
        made.append(feature(chance, f"feature-{place:03}", parents))
    return made, segments


def acceptable(features: list[Wire], segments: list[Wire]) -> None:
    """Take out what the real server's admin API refuses, although its SDKs read it."""
    for holder in (*segments, *(strategy for feature in features for strategy in feature["strategies"])):
        holder["constraints"] = [each for each in holder["constraints"] if each["operator"] != "IN_CIDR"]
        for each in holder["constraints"]:
            each["inverted"] = each["inverted"] and each["operator"] != "REGEX"


def feature(chance: random.Random, name: str, parents: list[Wire]) -> Wire:
    """Return a feature with up to three strategies, sometimes with variants of its own, sometimes after another one."""
    variants = _variants(chance, chance.choice(STICKINESS[:3]), overrides=True) if chance.random() < 0.27 else []
    after = [_dependency(chance, chance.choice(parents))] if parents and chance.random() < 0.2 else []
    return {
        "name": name,
        "type": "release",
        "project": "default",
        "enabled": chance.random() < 0.85,
        "stale": False,
        "impressionData": chance.random() < 0.1,
        "strategies": [strategy(chance, name) for _ in range(chance.choice((1, 1, 1, 2, 3)))],
        "variants": variants,
        "dependencies": after,
    }


def strategy(chance: random.Random, group: str) -> Wire:
    """Return one of the standard strategies."""
    name = chance.choice((*PARAMETERS, "flexibleRollout", "flexibleRollout", "default"))
    parameters = PARAMETERS[name](chance, group)
    chosen = name == "flexibleRollout" and parameters["stickiness"] != "random" and chance.random() < 0.25
    return {
        "name": name,
        "parameters": parameters,
        "constraints": _some(chance, constraint, 0, 2) if chance.random() < 0.45 else [],
        "segments": chance.sample(range(1, SEGMENTS + 1), chance.randint(1, 2)) if chance.random() < 0.25 else [],
        "variants": _variants(chance, parameters["stickiness"], overrides=False) if chosen else [],
    }


def constraint(chance: random.Random) -> Wire:
    """Return a constraint with any operator, on a field that goes with it."""
    operator = chance.choice(OPERATORS)
    name, values = _operands(operator)(chance)
    made = {"contextName": name, "operator": operator, "inverted": chance.random() < 0.25, "caseInsensitive": False}
    if operator.startswith("STR_") or operator == "REGEX":
        made["caseInsensitive"] = chance.random() < 0.3
    if operator in LISTS:
        return {**made, "values": values}
    return {**made, "value": values[0], "values": []}


def context(chance: random.Random) -> Wire:
    """Draw a context: always somebody, from somewhere; any of the other fields may be missing."""
    known = {
        "tier": chance.choice(TIERS),
        "region": chance.choice((*REGIONS, "US")),
        "score": str(chance.choice((-3, 0, 7, 42, 99.5, 1000))),
        "version": chance.choice(VERSIONS),
        "email": chance.choice(("ann-1@example.com", "bob-22@mail.example", "Eve@x.org")),
        "address": chance.choice(ADDRESSES),
    }
    return {
        "userId": chance.choice((f"user-{chance.randrange(500)}", str(chance.randrange(2000)), "ann", "bob-7")),
        "sessionId": f"s-{chance.randrange(10_000)}",
        "remoteAddress": chance.choice(ADDRESSES),
        "properties": {name: value for name, value in known.items() if chance.random() < 0.85},
    }


def _operands(operator: str) -> Callable[[random.Random], tuple[str, list[str]]]:
    return OPERANDS.get(operator) or OPERANDS[operator.split("_", maxsplit=1)[0]]


def _dependency(chance: random.Random, parent: Wire) -> Wire:
    enabled = chance.random() < 0.75
    names = [each["name"] for each in parent["variants"]]
    named = chance.sample(names, 1) if enabled and names and chance.random() < 0.5 else []
    return {"feature": parent["name"], "enabled": enabled, **({"variants": named} if enabled else {})}


def _variants(chance: random.Random, stickiness: str, *, overrides: bool) -> list[Wire]:
    names = ("red", "green", "blue", "grey")[: chance.randint(1, 4)]
    weights = [1000 // len(names)] * len(names)
    weights[0] += 1000 - sum(weights)
    made = []
    for name, weight in zip(names, weights, strict=True):
        variant: Wire = {"name": name, "weight": weight, "weightType": "variable", "stickiness": stickiness}
        if chance.random() < 0.5:
            variant["payload"] = chance.choice(PAYLOADS)
        if overrides and chance.random() < 0.2:
            variant["overrides"] = [{"contextName": "userId", "values": ["ann", "user-7"]}]
        made.append(variant)
    return made


def _flexible(chance: random.Random, group: str) -> Wire:
    stickiness = chance.choice((*STICKINESS, "random"))
    rollout = chance.choice(("0", "100") if stickiness == "random" else PERCENTAGES)
    return {"rollout": rollout, "stickiness": stickiness, "groupId": chance.choice((group, "shared"))}


def _some(chance: random.Random, make: Callable[[random.Random], Any], least: int, most: int) -> list[Any]:
    return [make(chance) for _ in range(chance.randint(least, most))]


PAYLOADS = (
    {"type": "string", "value": "a text"},
    {"type": "json", "value": '{"limit":3,"of":[1,2]}'},
    {"type": "csv", "value": "a,b"},
    {"type": "number", "value": "12.5"},
)
PARAMETERS: dict[str, Callable[[random.Random, str], Wire]] = {
    "default": lambda _chance, _group: {},
    "flexibleRollout": _flexible,
    "userWithId": lambda chance, _group: {"userIds": ",".join(["ann", f"user-{chance.randrange(500)}", "17"])},
    "gradualRolloutUserId": lambda chance, group: {"percentage": chance.choice(PERCENTAGES), "groupId": group},
    "gradualRolloutSessionId": lambda chance, group: {"percentage": chance.choice(PERCENTAGES), "groupId": group},
    "gradualRolloutRandom": lambda chance, _group: {"percentage": chance.choice(("0", "100"))},
    "remoteAddress": lambda chance, _group: {
        "IPs": ",".join(chance.sample(("10.0.0.0/8", "203.0.113.7", "198.51.100.0/24"), 2))
    },
    "applicationHostname": lambda _chance, _group: {"hostNames": "nowhere.example"},
}
OPERATORS = (
    *("IN", "NOT_IN") * 4,
    *("STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "IN_CIDR", "REGEX"),
    *(f"NUM_{each}" for each in ("EQ", "GT", "GTE", "LT", "LTE")),
    *("DATE_AFTER", "DATE_BEFORE"),
    *(f"SEMVER_{each}" for each in ("EQ", "GT", "LT", "GTE", "LTE")),
)
LISTS = ("IN", "NOT_IN", "STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "IN_CIDR")


def _listed(chance: random.Random) -> tuple[str, list[str]]:
    name, values = chance.choice((("tier", TIERS), ("region", REGIONS), ("userId", ("ann", "bob-7", "17"))))
    return name, chance.sample(values, chance.randint(1, 2))


OPERANDS: dict[str, Callable[[random.Random], tuple[str, list[str]]]] = {
    "IN": _listed,
    "NOT_IN": _listed,
    "IN_CIDR": lambda chance: (chance.choice(("address", "remoteAddress")), chance.sample(NETWORKS, 2)),
    "STR": lambda chance: (chance.choice(("email", "tier", "userId")), chance.sample(TEXTS, chance.randint(1, 3))),
    "REGEX": lambda chance: (chance.choice(("email", "userId")), [chance.choice(PATTERNS)]),
    "NUM": lambda chance: ("score", [chance.choice(("0", "7", "42.5", "99.5", "-3"))]),
    "DATE": lambda chance: ("currentTime", [chance.choice(DATES)]),
    "SEMVER": lambda chance: ("version", [chance.choice(VERSIONS)]),
}
