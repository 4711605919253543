"""Random Unleash definitions, right and wrong, and random contexts: all that follows from one `random.Random`."""

import random
from typing import Any

CONTEXT_NAMES = ("userId", "sessionId", "plan", "a.b", "x-y", "currentTime")
TEXTS = (
    "",
    "a",
    "ab",
    " pad ",
    "12",
    "1.5",
    'the "q"',
    "CORP\\al",
    "back\\",
    "it's",
    "1.2.3",
    "é",
    "日本",
    "a\nb",
    7,
    True,
)
VALUES: dict[str, tuple[Any, ...]] = {
    "IN": TEXTS,
    "NOT_IN": TEXTS,
    "STR_STARTS_WITH": TEXTS,
    "STR_ENDS_WITH": TEXTS,
    "STR_CONTAINS": TEXTS,
    "IN_CIDR": ("10.0.0.0/8", "10.1.2.3/16", "::1", "2001:db8::/32", "bad", "10.0.0.0/33"),
    "NUM_EQ": ("12", "-3", " 5 ", "007", 1.5, "0x10", ""),
    "NUM_LTE": ("12", "0.10", "1e3", 12),
    "DATE_AFTER": ("2026-07-01T00:00:00.000Z", "2026-07-01", "2026-07-01T02:00:00+02:00", "soon"),
    "SEMVER_GTE": ("1.2.3", "2.0.0-rc.1", "v1.2.3", "1.2.3+b"),
    "REGEX": (),
    "RESEMBLES": ("a",),
}
LISTS = ("IN", "NOT_IN", "STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "IN_CIDR")
PATTERN_PIECES = (
    *("a", "b", "1", " ", r"\d", r"\w", r"\S", r"\b", "[a-c]", "[^a1]", "[[:alpha:]]", "(a|b)", "(?i)", "^", "$", "."),
    *("*", "+?", "{2}", "{0,3}", "|", r"\.", "-", r"\pL", "(?=a)", r"\1", "]", "é", '"', "#", "&&", "["),
)
STRATEGIES = ("default", "flexibleRollout", "gradualRolloutUserId", "userWithId", "remoteAddress", "ours")
PERCENTAGES = ("0", "1", "50", "100", " 25", 33, "12.5", "101")
GROUPS = ("F", "g 1", "it's", "", 'q"', "é")
USER_LISTS = ("u1", "u1, u2 ,u3", "", ",", "it's", "back\\")
ADDRESSES = ("10.0.0.1", "10.0.0.0/8, 10.1.0.0/16", "bad", "::1")


def definitions(chance: random.Random) -> dict[str, Any]:
    """Return a feature and two segments, some fields missing, some wrong."""
    segments = [{"id": number, "constraints": _some(chance, constraint, 2)} for number in (1, 2)]
    return {"features": [feature(chance)], "segments": segments}


def feature(chance: random.Random) -> dict[str, Any]:
    """Return a feature with up to three strategies."""
    made: dict[str, Any] = {"name": chance.choice(("F", "F", "F x", "größe")), "enabled": chance.random() < 0.9}
    made["strategies"] = _some(chance, strategy, 3)
    if chance.random() < 0.3:
        made["variants"] = [variant(chance, name) for name in "abc"[: chance.randint(0, 3)]]
    return made


def strategy(chance: random.Random) -> dict[str, Any]:
    """Return one of the standard strategies, or one that nobody knows."""
    name = chance.choice(STRATEGIES)
    made: dict[str, Any] = {"name": name, "parameters": _parameters(chance, name)}
    if chance.random() < 0.6:
        made["constraints"] = _some(chance, constraint, 2)
    if chance.random() < 0.2:
        made["segments"] = [chance.choice((1, 2, 9))]
    if chance.random() < 0.2:
        made["variants"] = [variant(chance, name) for name in "abc"[: chance.randint(1, 3)]]
    if chance.random() < 0.1:
        made["disabled"] = chance.random() < 0.5
    return made


def constraint(chance: random.Random) -> dict[str, Any]:
    """Return one constraint, half of them with an operator that goes with text."""
    operator = chance.choice((*VALUES, "REGEX", "IN"))
    name = "currentTime" if operator == "DATE_AFTER" else chance.choice(CONTEXT_NAMES)
    made: dict[str, Any] = {"contextName": name, "operator": operator}
    if operator in LISTS:
        made["values"] = _some(chance, lambda _: chance.choice(VALUES[operator]), 3)
    elif operator == "REGEX":
        made["value"] = "".join(_some(chance, lambda _: chance.choice(PATTERN_PIECES), 5))
    else:
        made["value"] = chance.choice(VALUES[operator])
    for switch in ("inverted", "caseInsensitive"):
        if chance.random() < 0.2:
            made[switch] = chance.random() < 0.7
    return made


def variant(chance: random.Random, name: str) -> dict[str, Any]:
    """Return one variant, some without weight."""
    made: dict[str, Any] = {"name": name, "weight": chance.choice((0, 1, 333, 1000))}
    if chance.random() < 0.5:
        made["stickiness"] = chance.choice(("userId", "plan", "default"))
    if chance.random() < 0.3:
        made["overrides"] = [{"contextName": "userId", "values": ["u1"]}]
    return made


def context(chance: random.Random) -> dict[str, Any]:
    """Draw a context: text in every field that a definition may name."""
    texts = [text for text in TEXTS if isinstance(text, str)]
    properties = {name: chance.choice(texts) for name in ("plan", "a.b", "x-y")}
    return {"userId": chance.choice(("u1", "u2")), "remoteAddress": "10.1.2.3", "properties": properties}


def _parameters(chance: random.Random, name: str) -> dict[str, Any]:
    match name:
        case "flexibleRollout":
            stickiness = chance.choice(("default", "userId", "plan"))
            return {"rollout": chance.choice(PERCENTAGES), "groupId": chance.choice(GROUPS), "stickiness": stickiness}
        case "gradualRolloutUserId":
            return {"percentage": chance.choice(PERCENTAGES)}
        case "userWithId":
            return {"userIds": chance.choice(USER_LISTS)}
        case "remoteAddress":
            return {"IPs": chance.choice(ADDRESSES)}
        case _:
            return {}


def _some(chance: random.Random, make: Any, most: int) -> list[Any]:
    return [make(chance) for _ in range(chance.randint(0, most))]
