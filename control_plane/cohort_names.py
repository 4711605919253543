"""What a cohort is called: a part of the traffic that an outcome belongs to, known before the outcome is. Pure."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

NAME_CHARACTERS = 64
DIMENSIONS_MAX, DIMENSION_CHARACTERS = 8, 32
"""What one outcome that a service reports may name."""
ACCOUNT = "account"
FAILED_BEFORE = "of accounts that had failed before"
RESERVED_DIMENSIONS = frozenset({ACCOUNT, FAILED_BEFORE})
"""Those that the counts find by themselves, whatever a sample names."""


class Cohort(NamedTuple):
    """A part of the traffic: `plan` and `starter`; without a name the dimension itself says it, as `near the limit`."""

    dimension: str
    name: str = ""


Cohorts = tuple[Cohort, ...]


def cohorts_of(values: Mapping[str, str] | Collection[tuple[str, str]]) -> Cohorts:
    """Return cohorts as a sample carries them: `{"plan": "starter", "near the limit": ""}`."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return tuple(Cohort(dimension, name) for dimension, name in pairs)


def checked(cohorts: Mapping[str, str]) -> dict[str, str]:
    """Return the cohorts that a service names, their names cut to size; ValueError where a report would be refused."""
    if len(cohorts) > DIMENSIONS_MAX:
        raise ValueError(f"An outcome names at most {DIMENSIONS_MAX} cohorts, not {len(cohorts)}.")
    for dimension in cohorts:
        if not 0 < len(dimension) <= DIMENSION_CHARACTERS or dimension in RESERVED_DIMENSIONS:
            raise ValueError(f"{dimension[:100]!r} can't be the dimension of a cohort.")
    return {dimension: str(name)[:NAME_CHARACTERS] for dimension, name in cohorts.items()}
