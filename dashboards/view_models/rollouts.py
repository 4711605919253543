"""The list of rollouts: what needs attention comes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions import rules_file
from alerts.guard import applicable
from control_plane import rollouts, store
from control_plane.experiments.registry import names_of
from control_plane.gates import GateResult, GateStatus
from control_plane.phases import Rollout, RolloutState
from control_plane.platform.auth import audit
from dashboards import summaries
from dashboards.summaries import PhaseView
from dashboards.view_models import alerts, audit_entry, guard
from dashboards.view_models.audit_entry import EntryView
from dashboards.view_models.guard import GuardView

SEVERITY = list(Status)
CHANGE, ENTRIES_READ = "rollout.", 20
"""What is said of a rollout besides, as a report on its damage, is no change of it."""


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One rollout in the list."""

    rollout: Rollout
    phases: tuple[PhaseView, ...]
    sentence: str
    reach: str
    alert: Verdict | None
    """The alert that needs attention most; None where all are fine."""
    watched: int
    soak_left: timedelta
    ready: bool
    last: EntryView | None

    @property
    def urgency(self) -> tuple[bool, bool, bool, str]:
        """Sorts ascending: stopped or alarmed, held, ready for its next step, then by name."""
        stopped = self.rollout.latched or self.alert is not None
        return not stopped, self.rollout.state is not RolloutState.HELD, not self.ready, self.rollout.flag


@dataclass(frozen=True, slots=True)
class RolloutsScreen:
    """Every rollout, as of `now`."""

    now: datetime
    guard: GuardView
    lines: tuple[RolloutLine, ...]


def read(session: Session, *, now: datetime, lease_seconds: float) -> RolloutsScreen:
    """The list, the urgent first."""
    lines = [_line(session, rollout, now) for rollout in store.load_all(session)]
    watching = guard.read(session, now=now, lease_seconds=lease_seconds)
    return RolloutsScreen(now, watching, tuple(sorted(lines, key=lambda line: line.urgency)))


def _line(session: Session, rollout: Rollout, now: datetime) -> RolloutLine:
    gates = rollouts.gates(session, rollout, now)
    verdicts = alerts.verdicts_of(session, rollout)
    entries = audit.latest(session, subject=f"rollout:{rollout.flag}", limit=ENTRIES_READ)
    changes = [entry for entry in entries if entry.action.startswith(CHANGE)]
    return RolloutLine(
        rollout=rollout,
        phases=summaries.timeline(rollout, {}),
        sentence=summaries.status_sentence(rollout, gates, now, names_of(rollout.flag)),
        reach="nobody" if rollout.latched else summaries.reach(rollout.plan, rollout.position),
        alert=_worst(verdicts),
        watched=len(applicable(rules_file.current().rules, rollout.flag)),
        soak_left=max(timedelta(0), rollout.entered_at + rollout.phase.soak - now),
        ready=_ready(rollout, gates),
        last=audit_entry.entry_view(changes[0]) if changes else None,
    )


def _worst(verdicts: Sequence[Verdict]) -> Verdict | None:
    worst = max(verdicts, key=lambda verdict: SEVERITY.index(verdict.status), default=None)
    return worst if worst and worst.status not in (Status.OK, Status.INSUFFICIENT) else None


def _ready(rollout: Rollout, gates: Sequence[GateResult]) -> bool:
    running = rollout.state is RolloutState.RUNNING
    return running and not any(gate.status is GateStatus.CLOSED for gate in gates)
