"""Stored flags and segments that this release would not take as they are: an earlier one knew fewer differences.

Nothing rewrites them by itself, because that could move users.
"""

from sqlalchemy.orm import Session

from flags import store
from flags.administration.definitions import dependency_refusals
from flags.unleash.canonical import InvalidDefinition, Issue, Refusal, acceptable_definitions


def outdated_definitions(session: Session, environment: str) -> list[Refusal]:
    """Return the flags and segments of `environment` that SDKs may differ on, each with every reason."""
    features, segments = store.definitions(session, environment), store.segments(session, environment)
    taken = acceptable_definitions({"features": features, "segments": segments}, confirm_moving=True)
    assert not isinstance(taken, InvalidDefinition)  # what is stored has the form of a document
    found: dict[str, list[Issue]] = {}
    for refusal in taken.refusals:
        found.setdefault(refusal.name, []).extend(refusal.mistakes)
    for repair in taken.repairs:
        found.setdefault(repair.name or environment, []).append(repair)
    for name, reason in dependency_refusals(session, environment, features).items():
        found.setdefault(name, []).append(Issue(f"{name}.dependencies", reason, name=name))
    return [Refusal(name, tuple(found[name])) for name in sorted(found)]
