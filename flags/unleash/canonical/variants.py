"""Variants: weighted answers beyond on and off, of a feature or of one of its strategies."""

from typing import Any

from flags.unleash.canonical.constraints import context_name, plain_name, plain_text
from flags.unleash.canonical.issues import Issues, truncate
from flags.unleash.compiler import Wire
from flags.unleash.payloads import UnreadablePayload, value_of

FIELDS = ("name", "weight", "weightType", "stickiness", "payload", "overrides")
WEIGHT_MAX = 1000
DEFAULT = "default"
WEIGHT_TYPES = ("variable", "fix")
TYPE_DESCRIPTIONS = {"number": "A finite number as JSON writes it", "json": "Strict JSON"}
PAYLOAD_TYPES = ("string", "json", "csv", "number")


def canonical_variants(raw: object, where: str, findings: Issues) -> list[Wire]:
    """Return the variants, all with the stickiness of the first, which is the one that engines go by."""
    variants: list[Wire] = []
    for entry, place in findings.entries(raw, where):
        variant = _variant(entry, place, findings)
        if variant["name"] in {other["name"] for other in variants}:
            findings.refuse(f"{place}.name", f"Another variant is called {variant['name']!r}.")
        variants.append(variant)
    if variants and not any(variant["weight"] for variant in variants):
        findings.respell(where, "Weights of 0 stop some engines; without any variant all answer the same.")
        return []
    return with_stickiness(variants[0]["stickiness"] if variants else DEFAULT, variants, where, findings)


def with_stickiness(
    stickiness: str, variants: list[Wire], where: str, findings: Issues, *, moves: bool = True
) -> list[Wire]:
    """Return the variants with this stickiness; it moves users where any has one of its own that it was drawn by."""
    if any(variant["stickiness"] != stickiness for variant in variants):
        sentence = f"Some engines go by another stickiness than {stickiness!r}, so all variants have it."
        findings.repair(where, sentence, moves=moves)
    return [variant | {"stickiness": stickiness} for variant in variants]


def without_overrides(variants: list[Wire], where: str, findings: Issues) -> list[Wire]:
    """Return the variants of a strategy, in which one engine draws everybody and another one lets names choose."""
    if any(variant.get("overrides") for variant in variants):
        sentence = "Engines differ on overrides in a strategy's variants; a strategy of their own says it to all."
        findings.repair(where, sentence, moves=True)
    return [{name: value for name, value in variant.items() if name != "overrides"} for variant in variants]


def _variant(raw: object, where: str, findings: Issues) -> Wire:
    given = findings.record(raw, where, FIELDS)
    variant: Wire = {
        "name": plain_name(given.get("name"), f"{where}.name", findings),
        "weight": _weight(given.get("weight"), f"{where}.weight", findings),
        "weightType": choice(given.get("weightType"), WEIGHT_TYPES, f"{where}.weightType", findings),
        "stickiness": context_name(given.get("stickiness") or DEFAULT, f"{where}.stickiness", findings),
    }
    if given.get("payload") is not None:
        variant["payload"] = _payload(given["payload"], f"{where}.payload", findings)
    if given.get("overrides"):
        places = findings.entries(given["overrides"], f"{where}.overrides")
        variant["overrides"] = [_override(entry, place, findings) for entry, place in places]
    return variant


def choice(raw: object, choices: tuple[str, ...], where: str, findings: Issues) -> str:
    """Return one of the choices; the first where none is named."""
    chosen = findings.text(raw, where, default=choices[0], moves=False)
    if chosen not in choices:
        findings.refuse(where, f"One of {', '.join(choices)} is needed, not {chosen!r}.")
    return chosen


def _weight(raw: object, where: str, findings: Issues) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= WEIGHT_MAX:
        return raw
    findings.refuse(where, f"A whole number from 0 to {WEIGHT_MAX} is needed, not {truncate(raw)}.")
    return 0


def _payload(raw: object, where: str, findings: Issues) -> Wire:
    given = findings.record(raw, where, ("type", "value"))
    value = given.get("value")
    # A payload is an answer, not a comparison: its white space belongs to it.
    text = value if isinstance(value, str) else findings.text(value, f"{where}.value")
    kind = choice(given.get("type"), PAYLOAD_TYPES, f"{where}.type", findings)
    try:
        value_of(kind, text)
    except UnreadablePayload as error:
        findings.refuse(f"{where}.value", f"{TYPE_DESCRIPTIONS.get(kind, 'A shorter text')} is needed; {error}.")
    return {"type": kind, "value": text}


def _override(raw: object, where: str, findings: Issues) -> Wire:
    given: Any = findings.record(raw, where, ("contextName", "values"))
    places = findings.entries(given.get("values"), f"{where}.values")
    return {
        "contextName": context_name(given.get("contextName"), f"{where}.contextName", findings),
        "values": [plain_text(entry, place, findings) for entry, place in places],
    }
