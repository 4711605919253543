"""Who changes something, why, when, and what they had before them: one value from the edge to the audit trail."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

Evidence = Mapping[str, object]
CONSOLE = "console:"
"""How the name of an actor begins who runs commands on a host."""
BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that Unicode counts as letters or symbols, and that show nothing."""


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """The circumstances of one change, read once at the edge.

    `evidence` comes from the guard and from Alertmanager, never from people; use cases add what they found.
    """

    now: datetime
    actor: str
    reason: str = ""
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        """Trim the reason."""
        object.__setattr__(self, "reason", trimmed(self.reason))


def trimmed(reason: str) -> str:
    """Return the reason without surrounding blanks; empty where nobody could read anything in it."""
    return reason.strip() if any(map(_shows, reason)) else ""


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CMZ" and character not in BLANK_LETTERS
