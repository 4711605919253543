"""Dependencies on a variant of a feature that has none, which engines answer differently."""

from collections.abc import Iterator, Mapping

from flags.unleash.compiler import Wire

NO_VARIANT = "disabled"
"""The variant of a feature that has none."""


def divergent_dependencies(features: Mapping[str, Wire]) -> Iterator[tuple[str, str]]:
    """Yield the names of a feature and of its parent where it asks for a variant and the parent has no variants.

    The Node SDK takes the feature to be off then and others take it to be on. Of a parent that is not there, or that
    has other variants, all engines say the same, and so do they of `disabled`, which is what such a parent answers.
    """
    for name, feature in features.items():
        for dependency in feature.get("dependencies") or ():
            parent = features.get(dependency["feature"])
            wanted = set(dependency.get("variants") or ()) - {NO_VARIANT}
            if wanted and parent is not None and not _has_variants(parent):
                yield name, dependency["feature"]


def _has_variants(feature: Wire) -> bool:
    return bool(feature.get("variants")) or any(strategy.get("variants") for strategy in feature["strategies"])
