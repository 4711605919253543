"""Dependencies on a variant of a feature that gives some users none, which engines answer differently."""

from collections.abc import Iterator, Mapping

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


def always_has_variant(feature: Wire) -> bool:
    """Return whether everybody for whom the feature is on has a variant of it."""
    return bool(feature.get("variants")) or all(strategy.get("variants") for strategy in feature["strategies"])
