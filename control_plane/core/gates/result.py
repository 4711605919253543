"""The answer of a gate: open, closed or unknown, with its reason and, where that is certain, when it opens. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class GateStatus(StrEnum):
    """`unknown` means too little is known to open: a named person may approve it, `closed` nobody may."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer, with the figures it rests on."""

    name: str
    status: GateStatus
    reason: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    opens_at: datetime | None = None
