"""Gates: the conditions of an advance. Each reads what is known and answers open, closed or unknown, and why."""

from control_plane.core.gates.result import GateResult, GateStatus
from control_plane.core.gates.soak import soak_gate

__all__ = ["GateResult", "GateStatus", "soak_gate"]
