"""Gates: the conditions of an advance. Each answers open, closed or unknown, with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from control_plane.phases import Rollout


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


def soak_gate(rollout: Rollout, now: datetime) -> GateResult:
    """Open once the current step has run for its soak time."""
    soaked, required = now - rollout.entered_at, rollout.phase.soak
    evidence = {"soaked_seconds": int(soaked.total_seconds()), "required_seconds": int(required.total_seconds())}
    if soaked >= required:
        return GateResult("soak", GateStatus.OPEN, "The soak time of this step is over.", evidence)
    opens = rollout.entered_at + required
    reason = f"The soak time of this step lasts until {opens:%Y-%m-%d %H:%M} UTC."
    return GateResult("soak", GateStatus.CLOSED, reason, evidence)
