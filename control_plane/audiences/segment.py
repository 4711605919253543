"""A segment as the audience of a phase: its conditions, which a plan takes when it is applied. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from control_plane.audiences.constraint import Constraint, contains

NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class Segment:
    """Conditions that flags of one environment share; `refusal` says why no audience can have them, if so."""

    environment: str
    name: str
    constraints: tuple[Constraint, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class SegmentNotice:
    """A segment that is no longer what the plan took from it; `is_there` where it still can be taken."""

    phase: str
    segment: str
    environment: str
    is_there: bool

    @property
    def sentence(self) -> str:
        """Say what became of it, and what that means."""
        if self.is_there:
            return (
                f"Segment {self.segment} was changed after the plan took its conditions; phase {self.phase} keeps "
                "those until the plan is applied again."
            )
        return (
            f"Segment {self.segment} of {self.environment} can't be taken any more; phase {self.phase} keeps the "
            "conditions that it had."
        )


Segments = Callable[[], Sequence[Segment]]
"""Returns the segments of every environment; called where a plan names one."""


class UnusableSegmentError(ValueError):
    """No audience can be this segment; the message says why, and what to do."""


def no_segments() -> Sequence[Segment]:
    """Return none."""
    return ()


def chosen_segment(found: Sequence[Segment], environment: str, name: str) -> Segment:
    """Return the one segment of this name there that an audience can have. Raises UnusableSegmentError."""
    here = [each for each in found if each.environment == environment]
    named = [each for each in here if each.name == name]
    if not named:
        raise UnusableSegmentError(_unknown(found, environment, name))
    if len(named) > 1:
        sentence = f"names one of {len(named)} segments of {environment} with this name; rename the others."
        raise UnusableSegmentError(sentence)
    if named[0].refusal:
        sentence = "names a segment that can't be an audience"
        raise UnusableSegmentError(f"{sentence}: {named[0].refusal} Name another one, or write constraints.")
    return named[0]


def is_same(left: tuple[Constraint, ...], right: tuple[Constraint, ...]) -> bool:
    """Return whether it is certain that both admit the same customers."""
    return left == right or (contains(left, right) and contains(right, left))


def _unknown(found: Sequence[Segment], environment: str, name: str) -> str:
    elsewhere = sorted({each.environment for each in found if each.name == name})
    if elsewhere:
        return (
            f"names a segment of {' and '.join(elsewhere)}, which {environment} does not have; make it there too, "
            "or write constraints."
        )
    known = sorted({each.name for each in found if each.environment == environment and not each.refusal})
    if not known:
        return f"names no segment of {environment}, which has none to be named; make one, or write constraints."
    near = get_close_matches(name, known, 1)
    listed = f"did you mean {near[0]}" if near else f"there are {', '.join(known[:NAMED_MAX])}"
    more = f" and {len(known) - NAMED_MAX} more" if not near and len(known) > NAMED_MAX else ""
    return f"names no segment of {environment}; {listed}{more}."
