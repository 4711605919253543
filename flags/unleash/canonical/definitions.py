"""Features, segments, and whole sets of both."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flags.unleash.canonical.constraints import NEVER, canonical_constraint, plain_text
from flags.unleash.canonical.issues import InvalidDefinition, Issue, Issues, truncate
from flags.unleash.canonical.strategies import canonical_strategies, segment_id
from flags.unleash.canonical.variants import canonical_variants, choice
from flags.unleash.compiler import Wire

FEATURE_FIELDS = (
    *("name", "type", "project", "enabled", "stale", "impressionData", "description"),
    *("strategies", "variants", "dependencies"),
)
TYPES = ("release", "experiment", "operational", "kill-switch", "permission")
NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Definitions:
    """Canonical definitions, and the repairs that made them so."""

    features: tuple[Wire, ...] = ()
    segments: tuple[Wire, ...] = ()
    repairs: tuple[Issue, ...] = ()


def canonical_definitions(raw: object) -> Definitions | InvalidDefinition:
    """All of an export, `{"features": […], "segments": […]}`, or every reason why it is not taken."""
    findings = Issues()
    if not isinstance(raw, Mapping):
        findings.refuse("$", "An object with features and segments is needed.")
        return _resolve_issues(findings)
    features = _all(raw.get("features"), "features", "name", _feature, findings)
    segments = _all(raw.get("segments"), "segments", "id", _segment, findings)
    missing = placeholders(features, segments)
    for segment in missing:
        findings.repair("segments", f"Segment {segment['id']} is missing; an empty one takes its place.")
    return _resolve_issues(findings, features=features, segments=[*segments, *missing])


def placeholders(features: Iterable[Wire], segments: Iterable[Wire]) -> list[Wire]:
    """A segment that nobody is in for each one that is not there: without it some engines drop the whole feature."""
    wanted = {number for feature in features for strategy in feature["strategies"] for number in strategy["segments"]}
    missing = wanted - {segment["id"] for segment in segments}
    return [{"id": number, "name": f"missing segment {number}", "constraints": [NEVER]} for number in sorted(missing)]


def _resolve_issues(
    findings: Issues, *, features: Sequence[Wire] = (), segments: Sequence[Wire] = ()
) -> Definitions | InvalidDefinition:
    if findings.mistakes:
        return InvalidDefinition(tuple(findings.mistakes))
    return Definitions(tuple(features), tuple(segments), tuple(findings.repairs))


def _all(
    raw: object, where: str, key: str, read: Callable[[object, str, Issues], Wire], findings: Issues
) -> list[Wire]:
    taken: dict[Hashable, Wire] = {}
    for entry, place in findings.entries(raw, where):
        wire = read(entry, place, findings)
        if wire[key] in taken:
            findings.refuse(f"{place}.{key}", f"{wire[key]!r} is listed twice.")
        taken[wire[key]] = wire
    return list(taken.values())


def _feature(raw: object, where: str, findings: Issues) -> Wire:
    given = findings.record(raw, where, FEATURE_FIELDS)
    name = _name(given.get("name"), f"{where}.name", findings)
    description = given.get("description")
    variants = canonical_variants(given.get("variants"), f"{where}.variants", findings)
    if len(variants) > 1 and not name.isascii():
        findings.refuse(f"{where}.variants", "Engines differ on who gets which where the feature's name is not ASCII.")
    return {
        "name": name,
        "type": choice(given.get("type"), TYPES, f"{where}.type", findings),
        "project": findings.text(given.get("project"), f"{where}.project", default="default"),
        "description": None if description is None else findings.text(description, f"{where}.description"),
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
    name = plain_text(raw, where, findings)
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
        "name": findings.text(given.get("name"), f"{where}.name", default=f"segment {number}"),
        "constraints": [canonical_constraint(entry, place, findings) for entry, place in constraints],
    }
