"""The segments that a phase may name: found by the package that stores flags, and compared with what a plan took."""

from collections.abc import Callable, Iterator, Sequence

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.audiences.segment import Segment, SegmentNotice, UnusableSegmentError, chosen_segment, is_same
from control_plane.core.phases import Plan
from control_plane.platform.extensions import AppState
from control_plane.rollouts import store

SegmentQuery = Callable[[Session], Sequence[Segment]]
"""Returns the segments of every environment, as the audiences that they would be."""

SEGMENT_QUERY = AppState[SegmentQuery | None]("segment_query", lambda: None)


def register_segment_query(query: SegmentQuery) -> None:
    """Let `query` find them; call it inside an application context."""
    SEGMENT_QUERY.set(current_app, query)


def segments(session: Session) -> Sequence[Segment]:
    """Return the segments of every environment."""
    query = SEGMENT_QUERY.get()
    return query(session) if query else ()


def segment_notices(session: Session, plan: Plan) -> list[SegmentNotice]:
    """Return what the plan took from segments that are others by now. Nothing is read where it names none."""
    if not any(phase.segment for phase in plan.phases):
        return []
    return list(_notices(segments(session), plan))


def plans_by_segment(session: Session) -> dict[tuple[str, str], list[str]]:
    """Return the rollouts whose plans name a segment, by its environment and name; those that are archived aside."""
    found: dict[tuple[str, str], list[str]] = {}
    for rollout in store.load_all(session):
        named = {phase.segment for phase in rollout.plan.phases if phase.segment and not rollout.archived}
        for segment in named:
            found.setdefault((rollout.plan.environment, segment), []).append(rollout.flag)
    return found


def _notices(found: Sequence[Segment], plan: Plan) -> Iterator[SegmentNotice]:
    for phase in plan.phases:
        if not phase.segment:
            continue
        try:
            present = chosen_segment(found, plan.environment, phase.segment)
        except UnusableSegmentError:
            yield SegmentNotice(phase.title, phase.segment, plan.environment, is_there=False)
            continue
        if not is_same(present.constraints, phase.constraints):
            yield SegmentNotice(phase.title, phase.segment, plan.environment, is_there=True)
