"""The choice among variants as a function that gives the official engine's answer. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

import mmh3

from flags.unleash.compiled_constraints import Fields, NotCompiled
from flags.unleash.compiler import Wire

Choice = Callable[[Fields], Wire | None]
"""The variant in the engine's words for whom the flag is on; None where only the engine can tell."""

SEED = 86028157
"""Unleash's, so that the share of variants has nothing to do with the share of a rollout."""
DEFAULT, RANDOM = "default", "random"
DISABLED: Wire = {"name": "disabled", "enabled": False, "featureEnabled": True}
"""No variant, of a flag that is on."""
OFF: Wire = {"name": "disabled", "enabled": False, "featureEnabled": False}


def compile_choice(feature: Wire, strategy: Wire) -> Choice:
    """Return the choice of a strategy that let somebody in: among its own variants, or the flag's.

    Raises NotCompiled.
    """
    group = (strategy.get("parameters") or {}).get("groupId")
    if strategy.get("variants"):
        # The engine draws everybody here, whatever a variant says of names.
        own = [{**each, "overrides": ()} for each in strategy["variants"]]
        return _choice(own, group if isinstance(group, str) else feature["name"])
    return _choice(feature["variants"], feature["name"]) if feature.get("variants") else lambda _fields: DISABLED


def _choice(variants: Sequence[Wire], group: str) -> Choice:
    weights = [each.get("weight") for each in variants]
    stickiness = {each.get("stickiness") or DEFAULT for each in variants}
    if len(stickiness) != 1 or not all(isinstance(each, int) and each >= 0 for each in weights):
        raise NotCompiled
    (field,) = stickiness
    ends = [*accumulate(int(each or 0) for each in weights)]
    if ends[-1] <= 0 or field == RANDOM:
        raise NotCompiled
    documents = [_document(each) for each in variants]
    overrides = [
        (each["contextName"], frozenset(each["values"]), document)
        for variant, document in zip(variants, documents, strict=True)
        for each in variant.get("overrides") or ()
    ]
    prefix, total = f"{group}:", ends[-1]

    def choose(fields: Fields) -> Wire | None:
        for name, values, document in overrides:
            if fields.get(name) in values:
                return document
        who = (fields.get("userId") or fields.get("sessionId")) if field == DEFAULT else fields.get(field)
        if not who:
            return None
        place = mmh3.mmh3_32_uintdigest((prefix + who).encode("utf-8", "surrogatepass"), SEED) % total + 1
        return documents[bisect_left(ends, place)]

    return choose


def _document(variant: Wire) -> Wire:
    payload = {"payload": variant["payload"]} if variant.get("payload") else {}
    return {"name": variant["name"], **payload, "enabled": True, "featureEnabled": True}
