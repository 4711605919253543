"""The gate that every phase has: the step must have run for its soak time."""

from datetime import datetime

from control_plane.core.gates.result import GateResult, GateStatus
from control_plane.core.phases import Rollout


def soak_gate(rollout: Rollout, now: datetime) -> GateResult:
    """Open once the current step has run for its soak time."""
    soaked, required = now - rollout.entered_at, rollout.phase.soak
    evidence = {"soaked_seconds": int(soaked.total_seconds()), "required_seconds": int(required.total_seconds())}
    if soaked >= required:
        return GateResult("soak", GateStatus.OPEN, "The soak time of this step is over.", evidence)
    opens = rollout.entered_at + required
    reason = f"The soak time of this step lasts until {opens:%Y-%m-%d %H:%M} UTC."
    return GateResult("soak", GateStatus.CLOSED, reason, evidence, opens)
