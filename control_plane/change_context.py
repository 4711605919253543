"""Who changes something, why, when, and what they had before them: one value from the edge to the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

Evidence = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """The circumstances of one change, read once at the edge; `evidence` is given by the guard, not by people."""

    now: datetime
    actor: str
    reason: str = ""
    evidence: Evidence | None = None
