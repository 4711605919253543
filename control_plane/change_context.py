"""Who changes something, why, when, and what they had before them: one value from the edge to the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

Evidence = Mapping[str, object]
CONSOLE = "console:"
"""How the name of an actor begins who runs commands on a host."""


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """The circumstances of one change, read once at the edge.

    `evidence` comes from the guard and from Alertmanager, never from people; use cases add what they found.
    """

    now: datetime
    actor: str
    reason: str = ""
    evidence: Evidence | None = None
