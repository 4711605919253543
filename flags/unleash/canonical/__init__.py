"""Unleash definitions from elsewhere, rewritten so that the engines under all official SDKs read them alike.

What is only spelled badly is repaired, and each repair is told; what engines would read differently is refused, each
mistake with the field it is in.
"""

from flags.unleash.canonical.definitions import (
    CONFIRM,
    Definitions,
    acceptable_definitions,
    canonical_definitions,
    is_placeholder,
    placeholders,
)
from flags.unleash.canonical.dependencies import divergent_dependencies, missing_parents
from flags.unleash.canonical.issues import InvalidDefinition, Issue, Refusal

__all__ = [
    "CONFIRM",
    "Definitions",
    "InvalidDefinition",
    "Issue",
    "Refusal",
    "acceptable_definitions",
    "canonical_definitions",
    "divergent_dependencies",
    "is_placeholder",
    "missing_parents",
    "placeholders",
]
