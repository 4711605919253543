"""Strategies: the alternatives that switch a feature on."""

import re
from collections.abc import Mapping

from flags.unleash.canonical.constraints import NEVER, canonical_constraint, context_name, networks
from flags.unleash.canonical.issues import Issues, truncate
from flags.unleash.canonical.variants import DEFAULT, canonical_variants, with_stickiness, without_overrides
from flags.unleash.compiler import SEGMENT_IDS_FROM, Wire

FIELDS = ("name", "parameters", "constraints", "segments", "variants", "disabled", "id", "title", "sortOrder")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "default": (),
    "flexibleRollout": ("rollout", "groupId", "stickiness"),
    "gradualRolloutUserId": ("percentage", "groupId"),
    "gradualRolloutSessionId": ("percentage", "groupId"),
    "gradualRolloutRandom": ("percentage",),
    "userWithId": ("userIds",),
    "remoteAddress": ("IPs",),
    "applicationHostname": ("hostNames",),
}
VARIANT_PARAMETERS = ("groupId", "stickiness")
"""The parameters by which every strategy draws one of its variants; engines fill them in differently."""
PERCENTAGE = re.compile(r"[0-9]{1,3}")
GROUP_ID = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,200}")
"""Printable ASCII without quotes and backslashes: the Node SDK hashes other characters differently."""

EVERYBODY: Wire = {"name": "default", "parameters": {}, "constraints": [], "segments": [], "variants": []}
NOBODY: Wire = EVERYBODY | {"constraints": [NEVER]}


def canonical_strategies(raw: object, where: str, findings: Issues, *, feature: str) -> list[Wire]:
    """Return the strategies that count, never none: an empty list would mean on for everybody."""
    entries = list(findings.entries(raw, where))
    strategies = [
        _strategy(entry, place, findings, feature=feature)
        for entry, place in entries
        if not _is_disabled(entry, place, findings)
    ]
    if strategies:
        return strategies
    if entries:
        findings.repair(where, "Every strategy is disabled, so nobody is in; SDKs get one strategy that says so.")
        return [NOBODY]
    findings.repair(where, "An empty list means everybody; the strategy default says so.")
    return [EVERYBODY]


def segment_id(raw: object, where: str, findings: Issues) -> int:
    """Return the id of an imported segment, below those of the flags under a rollout."""
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < SEGMENT_IDS_FROM:
        return raw
    findings.refuse(where, f"A segment id is a whole number from 0 to {SEGMENT_IDS_FROM - 1}, not {truncate(raw)}.")
    return 0


def _is_disabled(raw: object, where: str, findings: Issues) -> bool:
    if not isinstance(raw, dict) or not findings.switch(raw.get("disabled"), f"{where}.disabled"):
        return False
    findings.repair(where, "It is disabled, which SDKs would ignore; it is left out.")
    return True


def _strategy(raw: object, where: str, findings: Issues, *, feature: str) -> Wire:
    given = findings.record(raw, where, FIELDS)
    name = findings.text(given.get("name"), f"{where}.name")
    if name not in PARAMETERS:
        findings.refuse(f"{where}.name", f"SDKs forget custom strategies such as {name!r}; say it with constraints.")
    addresses = _ipv6(given) if name == "remoteAddress" else None
    if addresses is not None:
        sentence = "Engines differ on IPv6 here; a constraint IN_CIDR on remoteAddress says it to all."
        findings.repair(f"{where}.parameters.IPs", sentence, moves=True)
        name, given = "default", _with_addresses(given, addresses)
    of_names = canonical_variants(given.get("variants"), f"{where}.variants", findings)
    variants = without_overrides(of_names, f"{where}.variants", findings)
    parameters = _parameters(given, f"{where}.parameters", findings, name=name, feature=feature, variants=variants)
    if variants:
        # Without one of their own they are drawn by that of the strategy, in every engine.
        own = {str(each.get("stickiness") or "") for each in _variants_of(given)}
        moves = bool(own - {"", parameters["stickiness"]})
        variants = with_stickiness(parameters["stickiness"], variants, f"{where}.variants", findings, moves=moves)
    constraints = findings.entries(given.get("constraints"), f"{where}.constraints")
    segments = findings.entries(given.get("segments"), f"{where}.segments")
    return {
        "name": name,
        "parameters": parameters,
        "constraints": [canonical_constraint(entry, place, findings) for entry, place in constraints],
        "segments": sorted({segment_id(entry, place, findings) for entry, place in segments}),
        "variants": variants,
    }


def _variants_of(strategy: Mapping[str, object]) -> list[Mapping[str, object]]:
    listed = strategy.get("variants")
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []


def _ipv6(strategy: Mapping[str, object]) -> list[str] | None:
    """Return the addresses of a strategy where any of them is of IPv6."""
    parameters = strategy.get("parameters")
    listed = str(parameters.get("IPs", "")) if isinstance(parameters, Mapping) else ""
    return listed.split(",") if ":" in listed else None


def _with_addresses(strategy: Mapping[str, object], addresses: list[str]) -> Mapping[str, object]:
    listed, parameters = strategy.get("constraints"), strategy.get("parameters")
    among = {"contextName": "remoteAddress", "operator": "IN_CIDR", "values": addresses}
    others = (
        {name: value for name, value in parameters.items() if name != "IPs"} if isinstance(parameters, Mapping) else {}
    )
    return {**strategy, "constraints": [*(listed if isinstance(listed, list) else ()), among], "parameters": others}


def _parameters(
    strategy: Mapping[str, object], where: str, findings: Issues, *, name: str, feature: str, variants: list[Wire]
) -> dict[str, str]:
    own = PARAMETERS.get(name, ())
    needed = dict.fromkeys((*own, *VARIANT_PARAMETERS)) if variants else own
    given = findings.record(strategy.get("parameters") or {}, where, needed)
    parameters: dict[str, str] = {}
    for parameter in needed:
        raw, place = given.get(parameter), f"{where}.{parameter}"
        match parameter:
            case "rollout" | "percentage":
                parameters[parameter] = _percentage(raw, place, findings)
            case "groupId":
                parameters[parameter] = _group_id(raw, place, findings, feature=feature)
            case "stickiness":
                default = DEFAULT if parameter in own else variants[0]["stickiness"]
                parameters[parameter] = context_name(raw or default, place, findings)
            case _:
                parameters[parameter] = _list(parameter, raw, place, findings)
    return parameters


def _percentage(raw: object, where: str, findings: Issues) -> str:
    text = findings.text(raw, where)
    if PERCENTAGE.fullmatch(text) and int(text) <= 100:
        return str(int(text))
    findings.refuse(where, f"A whole percentage from 0 to 100 is needed, not {truncate(raw)}.")
    return "0"


def _group_id(raw: object, where: str, findings: Issues, *, feature: str) -> str:
    group_id = findings.text(raw, where)
    if not group_id:
        findings.respell(where, f"Engines differ without one; {feature!r} is sent, which most take.")
        group_id = feature
    if not GROUP_ID.fullmatch(group_id):
        findings.refuse(where, f"Up to 200 ASCII characters without quotes and backslashes, not {group_id!r}.")
    return group_id


def _list(parameter: str, raw: object, where: str, findings: Issues) -> str:
    entries = [trimmed for entry in findings.text(raw, where).split(",") if (trimmed := entry.strip())]
    if parameter == "IPs":
        entries = networks(entries, where, findings)
    if any(entry.endswith("\\") or '"' in entry for entry in entries):
        findings.refuse(where, "Quotes and a backslash at the end switch the whole flag off in some engines.")
    return ",".join(entries)
