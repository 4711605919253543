"""Segments as the audiences of plans: their conditions in the words of a plan, or why no audience can have them."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.segment import Segment
from flags import store
from flags.store import StoredSegment
from flags.unleash.canonical.definitions import is_placeholder
from flags.unleash.compiler import Wire


def plan_segments(session: Session) -> list[Segment]:
    """Return the segments of every environment."""
    return [_segment(each) for each in store.stored_segments(session)]


def _segment(stored: StoredSegment) -> Segment:
    constraints = tuple(_constraint(each) for each in stored.wire["constraints"])
    refusal = next(_refusals(stored.wire, constraints), "")
    return Segment(stored.environment, stored.wire["name"], constraints, refusal)


def _constraint(wire: Wire) -> Constraint:
    values = wire["values"] if "values" in wire else [wire["value"]]
    return Constraint(
        wire["contextName"], Operator(wire["operator"]), tuple(values), wire["inverted"], wire["caseInsensitive"]
    )


def _refusals(wire: Wire, constraints: tuple[Constraint, ...]) -> Iterator[str]:
    if is_placeholder(wire):
        yield "it stands where one is missing, and nobody is in it."
    if not constraints:
        yield "it has no condition, so that everybody is in it."
    for constraint in constraints:
        yield from constraint.errors()
