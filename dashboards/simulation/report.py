"""The result of a simulation: one value, as JSON for scripts and as a table for people."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from credits_engine.engines.comparison import Variance
from dashboards.simulation.usage_log import LogError


@dataclass(slots=True)
class PhaseReport:
    """One phase as it was lived through. `approved` lists why the owner's approval stood in for evidence."""

    name: str
    entered_at: datetime
    operations: int = 0
    exposed_users: int = 0
    approved: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RollbackReport:
    """One rollback: after which operation, how long after the fault, and what v2 served all the same."""

    at_operation: int
    after_fault_operations: int | None
    after_fault_v2_decisions: int | None
    after_fault_v2_served: int | None
    alert: str
    reason: str
    v2_served_after_breach: int = 0


@dataclass(slots=True)
class Report:
    """Everything a rehearsal has seen."""

    operations: int = 0
    users: int = 0
    unusable_rows: int = 0
    seconds: float = 0.0
    served: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    variance: Counter[str] = field(default_factory=Counter)
    phases: list[PhaseReport] = field(default_factory=list)
    rollbacks: list[RollbackReport] = field(default_factory=list)
    holds: int = 0
    holds_left_to_people: int = 0
    checked: int = 0
    differences: int = 0
    final_state: str = ""

    @property
    def operations_per_second(self) -> float:
        return self.operations / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, object]:
        """Return the report as one JSON object."""
        return {
            "operations": self.operations,
            "users": self.users,
            "unusable_rows": self.unusable_rows,
            "seconds": round(self.seconds, 2),
            "operations_per_second": round(self.operations_per_second, 1),
            "served": {engine: self.served[engine] for engine in ("legacy", "v2")},
            "outcomes": dict(self.outcomes),
            "phases": [_phase(phase) for phase in self.phases],
            "variance": {variance.value: self.variance[variance.value] for variance in Variance},
            "rollbacks": [_rollback(rollback) for rollback in self.rollbacks],
            "holds": self.holds,
            "holds_left_to_people": self.holds_left_to_people,
            "reconcile": {"checked": self.checked, "differences": self.differences},
            "final_phase": self.phases[-1].name if self.phases else None,
            "final_state": self.final_state,
        }

    def to_text(self, mistakes: list[LogError]) -> str:
        """Return the report for a terminal."""
        variance = ", ".join(f"{count:,} {name}" for name, count in sorted(self.variance.items()))
        lines = [
            (
                f"{self.operations:,} operations of {self.users:,} users in {self.seconds:.1f} s "
                f"({self.operations_per_second:,.0f}/s)"
            ),
            f"served     legacy {self.served['legacy']:,}, v2 {self.served['v2']:,}",
            f"variance   {variance or 'nothing compared'}",
            "phases     entered      operations  exposed users",
            *(
                f"  {phase.name:13} {phase.entered_at:%Y-%m-%d}   {phase.operations:9,}  {phase.exposed_users:13,}"
                + ("   approved by hand" if phase.approved else "")
                for phase in self.phases
            ),
            f"holds      {self.holds} ({self.holds_left_to_people} left to people)",
            *(
                f"rollback   at operation {rollback.at_operation:,}: {rollback.reason} "
                f"{rollback.v2_served_after_breach} served by v2 afterwards."
                for rollback in self.rollbacks
            ),
            f"reconcile  {self.checked:,} books checked, {self.differences} differences",
            f"final      {self.phases[-1].name if self.phases else '-'}, {self.final_state.replace('_', ' ')}",
        ]
        if self.unusable_rows:
            lines += [f"unusable   {self.unusable_rows} rows", *(f"  {mistake}" for mistake in mistakes)]
        return "\n".join(lines)


def _phase(phase: PhaseReport) -> dict[str, object]:
    return {
        "name": phase.name,
        "entered_at": phase.entered_at.isoformat(),
        "operations": phase.operations,
        "exposed_users": phase.exposed_users,
        "approved": phase.approved,
    }


def _rollback(rollback: RollbackReport) -> dict[str, object]:
    return {
        "at_operation": rollback.at_operation,
        "after_fault_operations": rollback.after_fault_operations,
        "after_fault_v2_decisions": rollback.after_fault_v2_decisions,
        "after_fault_v2_served": rollback.after_fault_v2_served,
        "v2_served_after_breach": rollback.v2_served_after_breach,
        "alert": rollback.alert,
        "reason": rollback.reason,
    }
