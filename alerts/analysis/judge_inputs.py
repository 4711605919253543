"""What `judge` goes by beside the evidence. Pure."""

from dataclasses import dataclass

from alerts.analysis.attribution import NO_ARMS, NO_COUNTS, NO_EVIDENCE, Arms, Attribution, Pairs
from alerts.analysis.cohorts import CohortFinding
from alerts.analysis.evidence import Evidence
from control_plane.signal_counts import Counts


@dataclass(frozen=True, slots=True)
class JudgeInputs:
    """Inputs beside the evidence: whether users are exposed, the last window's counts, and whether counting works."""

    exposed: bool
    """Production users are routed to the candidate right now."""
    window: Counts
    """Counts of the last `window_seconds`, ending now."""
    gap_seconds: float = 0.0
    """For how long exposed traffic has left no counts; 0 where none was due."""
    pairs: Pairs | None = None
    arms: Arms = NO_ARMS
    arms_of_attempt: Arms = NO_ARMS
    served: Evidence = NO_EVIDENCE
    """Of an alert about the whole service: the evidence in the requests that the candidate served."""
    known_elsewhere: Attribution | None = None
    """The engine at fault by what another alert of the same instant knows, where this one does not."""
    burst_size: float = 1.0
    """How many failures come at once on average, as learnt before anybody was exposed."""
    control_faults: Counts = NO_COUNTS
    """Of the window's outcomes, those that are the control's own defects."""
    cohort: CohortFinding | None = None
    """The cohort that is most certainly over the threshold, where one is."""
