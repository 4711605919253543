"""Dependencies on a feature that is not there, or on a variant of one that gives some users none."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from flags.unleash.compiler import Wire

NO_VARIANT = "disabled"
"""The variant of a feature that has none."""


def divergent_dependencies(features: Mapping[str, Wire]) -> Iterator[tuple[str, str]]:
    """Yield the names of a feature and of its parent where it asks for a variant and the parent may have none.

    Where a parent is on and gives no variant, the Node SDK takes the feature to be off and others take it to be on. Of
    a parent that is not there, or that has other variants, all engines say the same, and so do they of `disabled`,
    which is what such a parent answers.
    """
    for name, feature in features.items():
        for dependency in feature.get("dependencies") or ():
            parent = features.get(dependency["feature"])
            wanted = set(dependency.get("variants") or ()) - {NO_VARIANT}
            if wanted and parent is not None and not always_has_variant(parent):
                yield name, dependency["feature"]


def missing_parents(features: Iterable[Wire], known: Collection[str]) -> dict[str, str]:
    """Return the features that would be off for everybody, by name, each with the parent that is not there.

    `known` are features beside these. What depends on one that is returned is returned too.
    """
    found: dict[str, str] = {}
    remaining = {feature["name"]: feature for feature in features}
    while lost := dict(_without_parent(remaining, known)):
        found |= lost
        remaining = {name: feature for name, feature in remaining.items() if name not in lost}
    return found


def _without_parent(features: Mapping[str, Wire], known: Collection[str]) -> Iterator[tuple[str, str]]:
    for name, feature in features.items():
        for dependency in feature.get("dependencies") or ():
            if dependency["feature"] not in features and dependency["feature"] not in known:
                yield name, dependency["feature"]


def always_has_variant(feature: Wire) -> bool:
    """Return whether everybody for whom the feature is on has a variant of it."""
    return bool(feature.get("variants")) or all(strategy.get("variants") for strategy in feature["strategies"])
