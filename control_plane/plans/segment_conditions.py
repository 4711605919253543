"""The conditions of the segments that a document names, put in their place before it is read as a plan. Pure."""

from collections.abc import Mapping

from control_plane.audiences.segment import Segments, UnusableSegmentError, chosen_segment
from control_plane.plans.yaml_text import Place

PHASES, SEGMENT, CONSTRAINTS = "phases", "segment", "constraints"


def with_conditions(
    value: Mapping[str, object], environment: str, segments: Segments
) -> tuple[Mapping[str, object], dict[Place, str]]:
    """Return the document with the conditions of the segments that it names, and by place what is wrong with those."""
    phases = value.get(PHASES)
    if not isinstance(phases, list) or not any(_names_segment(phase) for phase in phases):
        return value, {}
    stored, filled = segments(), list(phases)
    mistakes: dict[Place, str] = {}
    for index, phase in enumerate(phases):
        if not _names_segment(phase):
            continue
        place = (PHASES, index, SEGMENT)
        if phase.get(CONSTRAINTS):
            mistakes[place] = "stands beside constraints; keep one of the two."
            continue
        try:
            chosen = chosen_segment(stored, environment, phase[SEGMENT])
        except UnusableSegmentError as error:
            mistakes[place] = str(error)
        else:
            filled[index] = {**phase, CONSTRAINTS: chosen.constraints}
    return {**value, PHASES: filled}, mistakes


def _names_segment(phase: object) -> bool:
    return isinstance(phase, Mapping) and isinstance(phase.get(SEGMENT), str) and phase[SEGMENT] != ""
