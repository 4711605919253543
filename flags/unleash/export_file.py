"""Unleash's own exports in the form that SDKs are given: `features-batch/export`, and features of its admin API. Pure.

An export has one environment's strategies. It names segments and leaves out whom they hold, so those have to be known
here already, or be given beside it as `GET /api/admin/segments` lists them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flags.unleash.canonical import is_placeholder
from flags.unleash.compiler import Wire

PARTS = ("featureStrategies", "featureEnvironments")
OF_FEATURE = ("name", "type", "project", "stale", "impressionData", "description", "dependencies")
OF_STRATEGY = ("name", "parameters", "constraints", "segments", "variants", "disabled", "title", "sortOrder")
DRAWN_BY = ("groupId", "stickiness")
UNORDERED = (
    "The export leaves out which of its strategies is asked first, and they give different variants; "
    "GET /api/client/features says so."
)
WHOLE = "GET /api/admin/projects/PROJECT/features/NAME?variantEnvironments=true has all of it."
OF_VARIANT = ("name", "weight", "weightType", "stickiness", "payload", "overrides")

Record = Mapping[str, object]


class MalformedExport(ValueError):  # noqa: N818 - the word for it
    """The document is no export of Unleash's; the message says where."""


@dataclass(frozen=True, slots=True)
class ExportedFlags:
    """The features and segments of an export, its tags by feature, and why some features can't be taken from it."""

    document: dict[str, Any]
    tags: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unordered: dict[str, str] = field(default_factory=dict)
    """Why some would give users other variants if their strategies were asked in another order than it is here."""


def without_archived(raw: object) -> tuple[object, Sequence[str]]:
    """Return a document without its archived features, and their names."""
    if not isinstance(raw, Mapping) or not isinstance(features := raw.get("features"), list):
        return raw, ()
    active = [each for each in features if not _is_archived(each)]
    return {**raw, "features": active}, [str(each.get("name")) for each in features if _is_archived(each)]


def client_features(raw: object, environment: str, known: Iterable[Wire]) -> object | ExportedFlags:
    """Return an export as client features; any other document as it is. Raises MalformedExport.

    `known` are the segments that are stored here.
    """
    if not isinstance(raw, Mapping):
        return raw
    if any(part in raw for part in PARTS):
        return _of_batch(raw, environment, known)
    features = raw.get("features") if "environments" not in raw else [raw]
    if not isinstance(features, list) or not any(
        isinstance(each, Mapping) and "environments" in each for each in features
    ):
        return raw
    read = {str(each.get("name")): _of_environment(each, environment) for each in _records(features, "features")}
    taken = [wire for wire in read.values() if not isinstance(wire, str)]
    document = {"features": taken, "segments": raw.get("segments") or []}
    tags = {str(each.get("name")): _tags(each.get("tags"), "type", "value") for each in _records(features, "features")}
    found = _with_segments(document, known, tags)
    return replace(found, refused=found.refused | {name: why for name, why in read.items() if isinstance(why, str)})


def _is_archived(feature: object) -> bool:
    return isinstance(feature, Mapping) and (feature.get("archived") is True or bool(feature.get("archivedAt")))


def _of_batch(raw: Record, environment: str, known: Iterable[Wire]) -> ExportedFlags:
    if "featureStrategies" not in raw:  # without any, everybody would be in
        raise MalformedExport("featureStrategies: a list is needed.")
    strategies: dict[str, list[Record]] = defaultdict(list)
    switched: dict[str, Record] = {}
    for each in _strategies_with_segments(raw):
        strategies[str(each.get("featureName"))].append(each)
    environments = [*_records(raw.get("featureEnvironments"), "featureEnvironments")]
    # The file of one environment may be taken into another, as in Unleash; of several, the one of this name counts.
    several = len({str(each.get("environment")) for each in environments}) > 1
    for each in environments:
        if not several or each.get("environment") == environment:
            switched[str(each.get("featureName") or each.get("name"))] = each
    dependencies = {str(each.get("feature")): each for each in _records(raw.get("dependencies"), "dependencies")}
    tags: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in _records(raw.get("featureTags"), "featureTags"):
        tags[str(each.get("featureName"))].append((str(each.get("tagType")), str(each.get("tagValue"))))
    features, elsewhere = [], {}
    for each in _records(raw.get("features"), "features"):
        name = str(each.get("name"))
        if several and name not in switched:
            elsewhere[name] = f"The document says nothing of {environment}, where it would be off for everybody."
            continue
        own, parents = switched.get(name, {}), dependencies.get(name, {})
        merged = {**each, **own} | {"name": each.get("name"), "dependencies": parents.get("dependencies") or []}
        listed = [one for one in strategies[name] if not several or one.get("environment") in (None, environment)]
        features.append(_feature(merged, listed))
    document = {"features": features, "segments": raw.get("segments") or []}
    found = _with_segments(document, known, {name: tuple(each) for name, each in tags.items()})
    found = replace(found, refused=found.refused | elsewhere)
    return replace(found, unordered={name: UNORDERED for name in sorted(strategies) if _is_unordered(strategies[name])})


def _strategies_with_segments(raw: Record) -> Iterator[Record]:
    """Yield the strategies with their segments, which exports of releases before 6 list apart."""
    apart: dict[str, list[object]] = defaultdict(list)
    for each in _records(raw.get("featureStrategySegments"), "featureStrategySegments"):
        apart[str(each.get("featureStrategyId"))].append(each.get("segmentId"))
    for each in _records(raw.get("featureStrategies"), "featureStrategies"):
        added = apart.get(str(each.get("id")))
        own = each.get("segments")
        yield {**each, "segments": [*(own if isinstance(own, list) else ()), *added]} if added else each


def _of_environment(raw: Record, environment: str) -> Wire | str:
    """Return a feature of the admin API as its SDKs in one environment are given it, or why it can't be known."""
    listed = {str(each.get("name")): each for each in _records(raw.get("environments"), "environments")}
    own = listed.get(environment) or (next(iter(listed.values())) if len(listed) == 1 else None)
    if own is None:
        return (
            f"The document says nothing of {environment}; it has the feature as it is in {', '.join(listed) or 'none'}."
        )
    # Lists of features leave out strategies, without which everybody would be in, and one feature leaves out variants
    # where nobody asks for them.
    if "strategies" not in own:
        return f"The document leaves out its strategies; {WHOLE}"
    if "variants" not in own and "variants" not in raw:
        return f"The document leaves out whether it has variants; {WHOLE}"
    variants = own.get("variants") or raw.get("variants") or []
    merged = {**raw, "enabled": own.get("enabled", False), "variants": variants}
    return _feature(merged, list(_records(own.get("strategies"), "strategies")))


def _feature(raw: Record, strategies: list[Record]) -> Wire:
    ordered = sorted(strategies, key=_sort_order)
    return {
        **{name: raw[name] for name in OF_FEATURE if name in raw},
        "enabled": raw.get("enabled", False),
        "strategies": [_strategy(each) for each in ordered],
        "variants": [_only(each, OF_VARIANT) for each in _records(raw.get("variants"), "variants")],
    }


def _strategy(raw: Record) -> Wire:
    name = raw.get("name") or raw.get("strategyName")
    variants = [_only(each, OF_VARIANT) for each in _records(raw.get("variants"), "variants")]
    return _only(raw, OF_STRATEGY) | {"name": name, "variants": variants}


def _with_segments(
    document: dict[str, Any], known: Iterable[Wire], tags: dict[str, tuple[tuple[str, str], ...]]
) -> ExportedFlags:
    """Give the document the segments that are known; refuse the features of those whose constraints nobody knows."""
    given = [*_records(document["segments"], "segments")]
    whole = {str(each.get("id")): _only(each, ("id", "name", "constraints")) for each in given if "constraints" in each}
    names = {str(each.get("id")): each.get("name") for each in given}
    # Of another name it is another segment: every installation counts its own from 1.
    stored = {
        str(wire["id"]): wire
        for wire in known
        if not is_placeholder(wire) and names.get(str(wire["id"])) in (None, wire["name"])
    }
    found = {**stored, **whole}
    refused, used = {}, set[str]()
    for feature in document["features"]:
        wanted = _wanted_segments(feature)
        if lost := [number for number in wanted if number not in found]:
            named = ", ".join(f"{number} ({names.get(number) or 'unnamed'})" for number in dict.fromkeys(lost))
            refused[str(feature.get("name"))] = (
                f"The export leaves out whom segment {named} holds; add it as GET /api/admin/segments has it."
            )
        else:
            used.update(wanted)
    document["features"] = [each for each in document["features"] if str(each.get("name")) not in refused]
    document["segments"] = [wire for number, wire in found.items() if number in used or number in whole]
    return ExportedFlags(document, tags, refused)


def _wanted_segments(feature: Wire) -> list[str]:
    listed = [strategy.get("segments") for strategy in feature["strategies"]]
    return [str(number) for numbers in listed if isinstance(numbers, list) for number in numbers]


def _tags(raw: object, kind: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(each.get(kind)), str(each.get(value))) for each in _records(raw, "tags"))


def _records(raw: object, where: str) -> Iterator[Record]:
    if raw is None:
        return
    if not isinstance(raw, list):
        raise MalformedExport(f"{where}: a list is needed.")
    for number, each in enumerate(raw):
        if not isinstance(each, Mapping):
            raise MalformedExport(f"{where}[{number}]: an object is needed.")
        yield each


def _only(raw: Record, names: Iterable[str]) -> dict[str, object]:
    return {name: raw[name] for name in names if name in raw}


def _sort_order(strategy: Record) -> tuple[float, str]:
    """Return what Unleash sorts strategies by before SDKs are given them."""
    order = strategy.get("sortOrder")
    return order if isinstance(order, int | float) else 0.0, str(strategy.get("id", ""))


def _is_unordered(strategies: Sequence[Record]) -> bool:
    """Return whether nothing says in which order these strategies are, and it decides who has which variant."""
    strategies = [each for each in strategies if each.get("disabled") is not True]
    if len(strategies) < 2 or all("sortOrder" in each for each in strategies):
        return False
    parameters = [each.get("parameters") for each in strategies]
    shares = [[each.get(name) for name in DRAWN_BY] if isinstance(each, Mapping) else [] for each in parameters]
    chosen = [(each.get("variants") or [], *share) for each, share in zip(strategies, shares, strict=True)]
    return any(variants for variants, *_ in chosen) and any(each != chosen[0] for each in chosen)
