"""Features, segments, and whole sets of both."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from control_plane.rollout_names import SEPARATOR
from flags.unleash.canonical.constraints import NEVER, canonical_constraint, plain_name, plain_text
from flags.unleash.canonical.issues import InvalidDefinition, Issue, Issues, Refusal, truncate
from flags.unleash.canonical.strategies import canonical_strategies, segment_id
from flags.unleash.canonical.variants import canonical_variants, choice
from flags.unleash.compiler import Wire

FEATURE_FIELDS = (
    *("name", "type", "project", "enabled", "stale", "impressionData", "description"),
    *("strategies", "variants", "dependencies"),
)
OF_VERSION_1 = ("strategy",)
TYPES = ("release", "experiment", "operational", "kill-switch", "permission")
NAME_LENGTH_MAX = 200
UNREACHABLE = (".", "..")
"""Parts of an address that mean another one."""


CONFIRM = "That moves users, so it takes a confirmation."


@dataclass(frozen=True, slots=True)
class Definitions:
    """Canonical definitions, the repairs that made them so, and what of the document was refused."""

    features: tuple[Wire, ...] = ()
    segments: tuple[Wire, ...] = ()
    repairs: tuple[Issue, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def canonical_definitions(raw: object) -> Definitions | InvalidDefinition:
    """Return all of an export, `{"features": […], "segments": […]}`, or every reason why it is not taken."""
    taken = acceptable_definitions(raw, confirm_moving=True)
    if isinstance(taken, Definitions) and taken.refusals:
        return InvalidDefinition(tuple(mistake for refusal in taken.refusals for mistake in refusal.mistakes))
    return taken


def acceptable_definitions(raw: object, *, confirm_moving: bool) -> Definitions | InvalidDefinition:
    """Return what of an export can be taken, with the refusals of the rest; InvalidDefinition if it can't be read.

    Without `confirm_moving` a feature is refused whose repair would move users.
    """
    if not isinstance(raw, Mapping):
        return InvalidDefinition((Issue("$", "An object with features and segments is needed."),))
    findings = Issues()
    segments, refused_segments = _read_each(
        raw.get("segments"), "segments", "id", _segment, findings, confirm_moving=confirm_moving
    )
    features, refused = _read_each(
        raw.get("features"), "features", "name", _feature, findings, confirm_moving=confirm_moving
    )
    if findings.mistakes:
        return InvalidDefinition(tuple(findings.mistakes))
    for name, wire in list(features.items()):
        if without := sorted(_segment_ids(wire) & refused_segments.keys()):
            refused[name] = Refusal(
                name, tuple(Issue(name, f"It needs segment {each}, which is refused.") for each in without)
            )
            del features[name]
    return _with_placeholders(
        features.values(), segments.values(), findings, [*refused.values(), *refused_segments.values()]
    )


def _with_placeholders(
    features: Iterable[Wire], segments: Iterable[Wire], findings: Issues, refusals: Iterable[Refusal]
) -> Definitions:
    missing = placeholders(features, segments)
    for segment in missing:
        findings.repair("segments", f"Segment {segment['id']} is missing; an empty one takes its place.")
    return Definitions(tuple(features), (*segments, *missing), tuple(findings.repairs), tuple(refusals))


def placeholders(features: Iterable[Wire], segments: Iterable[Wire]) -> list[Wire]:
    """Return a segment that nobody is in for each one that is not there.

    Without it some engines drop the whole feature.
    """
    wanted = {number for feature in features for number in _segment_ids(feature)}
    missing = wanted - {segment["id"] for segment in segments}
    return [_placeholder(number) for number in sorted(missing)]


def is_placeholder(segment: Wire) -> bool:
    """Return whether a segment only stands where one is missing."""
    return segment == _placeholder(segment["id"])


def _placeholder(number: int) -> Wire:
    return {"id": number, "name": f"missing segment {number}", "constraints": [NEVER]}


def _segment_ids(feature: Wire) -> set[int]:
    return {number for strategy in feature["strategies"] for number in strategy["segments"]}


def _read_each(
    raw: object,
    where: str,
    key: str,
    read: Callable[[object, str, Issues], Wire],
    findings: Issues,
    *,
    confirm_moving: bool,
) -> tuple[dict[Any, Wire], dict[Any, Refusal]]:
    """Return the entries that can be taken and the refusals of the others, each by its key."""
    taken: dict[object, Wire] = {}
    refused: dict[object, Refusal] = {}
    for entry, place in findings.entries(raw, where):
        own = Issues()
        wire = read(entry, place, own)
        found = wire[key]
        if found in taken or found in refused:
            own.refuse(f"{place}.{key}", f"{found!r} is listed twice.")
        moving = () if confirm_moving else [issue for issue in own.repairs if issue.moves]
        own.mistakes += [Issue(issue.field, f"{issue.sentence} {CONFIRM}") for issue in moving]
        if own.mistakes:
            before = refused[found].mistakes if found in refused else ()
            refused[found] = Refusal(_name_of(wire, key, place), (*before, *own.mistakes))
            taken.pop(found, None)
        else:
            taken[found] = wire
            findings.repairs += [replace(issue, name=_name_of(wire, key, place)) for issue in own.repairs]
    return taken, refused


def _name_of(wire: Wire, key: str, place: str) -> str:
    return f"segment {wire[key]}" if key == "id" else str(wire[key]) or place


def _feature(raw: object, where: str, findings: Issues) -> Wire:
    given = findings.record(raw, where, (*FEATURE_FIELDS, *OF_VERSION_1))
    name = _name(given.get("name"), f"{where}.name", findings)
    if "/" in name or name in UNREACHABLE:
        findings.refuse(f"{where}.name", f"No address leads to a flag called {truncate(name)}; choose another name.")
    if SEPARATOR in name:
        sentence = f"A name with {SEPARATOR} is that of a rollout of one environment, unlike {truncate(name)}."
        findings.refuse(f"{where}.name", sentence)
    if "strategy" in given and not given.get("strategies"):
        findings.refuse(f"{where}.strategy", "This is a feature of version 1, which SDKs forget; list its strategies.")
    description = given.get("description")
    variants = canonical_variants(given.get("variants"), f"{where}.variants", findings)
    if len(variants) > 1 and not name.isascii():
        findings.refuse(f"{where}.variants", "Engines differ on who gets which where the feature's name is not ASCII.")
    return {
        "name": name,
        "type": choice(given.get("type"), TYPES, f"{where}.type", findings),
        "project": findings.text(given.get("project"), f"{where}.project", default="default", moves=False),
        "description": None if description is None else findings.text(description, f"{where}.description", moves=False),
        "enabled": findings.switch(given.get("enabled"), f"{where}.enabled", default=None),
        "stale": findings.switch(given.get("stale"), f"{where}.stale"),
        "impressionData": findings.switch(given.get("impressionData"), f"{where}.impressionData"),
        "strategies": canonical_strategies(given.get("strategies"), f"{where}.strategies", findings, feature=name),
        "variants": variants,
        "dependencies": [
            _dependency(entry, place, findings, feature=name)
            for entry, place in findings.entries(given.get("dependencies"), f"{where}.dependencies")
        ],
    }


def _name(raw: object, where: str, findings: Issues) -> str:
    name = plain_name(raw, where, findings)
    if len(name) > NAME_LENGTH_MAX or not name.isprintable() or '"' in name:
        findings.refuse(
            where, f"A name has up to {NAME_LENGTH_MAX} visible characters and no quotes, unlike {truncate(raw)}."
        )
    return name


def _dependency(raw: object, where: str, findings: Issues, *, feature: str) -> Wire:
    given = findings.record(raw, where, ("feature", "enabled", "variants"))
    parent = _name(given.get("feature"), f"{where}.feature", findings)
    if parent == feature:
        findings.refuse(f"{where}.feature", "A feature can't depend on itself.")
    dependency: Wire = {
        "feature": parent,
        "enabled": findings.switch(given.get("enabled"), f"{where}.enabled", default=True),
    }
    if given.get("variants"):
        places = findings.entries(given["variants"], f"{where}.variants")
        dependency["variants"] = [plain_text(entry, place, findings) for entry, place in places]
    return dependency


def _segment(raw: object, where: str, findings: Issues) -> Wire:
    given = findings.record(raw, where, ("id", "name", "constraints"))
    number = segment_id(given.get("id"), f"{where}.id", findings)
    constraints = findings.entries(given.get("constraints"), f"{where}.constraints")
    return {
        "id": number,
        "name": findings.text(given.get("name"), f"{where}.name", moves=False) or f"segment {number}",
        "constraints": [canonical_constraint(entry, place, findings) for entry, place in constraints],
    }
