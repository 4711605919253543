"""The list of rollouts: what needs attention comes first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts import store as alert_store
from alerts.analysis.environments import applicable
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions import rules_file
from alerts.drill import flag as drill
from control_plane import rollouts
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.lifecycle import Stage, stage
from control_plane.core.phases import Rollout, RolloutState
from control_plane.experiments.registry import migration_of
from control_plane.platform.auth import audit
from control_plane.rollout_names import flag_of
from control_plane.rollouts import listing, store
from control_plane.rollouts.listing import RolloutQuery
from dashboards import summaries
from dashboards.summaries import PhaseView
from dashboards.view_models import alerts, audit_entry, guard, welcome
from dashboards.view_models.audit_entry import EntryView
from dashboards.view_models.guard import GuardView
from dashboards.view_models.welcome import WelcomeView

SEVERITY = list(Status)
CARDS_MAX, ROWS_MAX = 6, 50
"""With more than six flags the list is a table: a card of each takes six queries for its gates, and a screen."""
CHANGE, ENTRIES_READ = "rollout.", 20
"""What is said of a rollout besides, as a report on its damage, is no change of it."""
Alarms = Mapping[tuple[str, int], tuple[str, Status]]
"""The gravest alert by rollout and attempt."""
Names = Mapping[str, Sequence[str]]
"""The names of each flag's rollouts, by flag: to look for them among all would take the square of their number."""


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One rollout in the list."""

    rollout: Rollout
    stage: Stage
    phases: tuple[PhaseView, ...]
    sentence: str
    reach: str
    elsewhere: str
    """Where other rollouts of the flag decide; empty where none does."""
    alert: Verdict | None
    """The alert that needs attention most; None where all are fine."""
    watched: int
    soak_left: timedelta
    ready: bool
    needs_approval: bool
    """A gate can't tell, so a person has to say that the next step is taken."""
    last: EntryView | None

    @property
    def urgency(self) -> tuple[bool, bool, bool, str]:
        """Sorts ascending: stopped or alarmed, held, ready for its next step, then by name."""
        stopped = self.rollout.latched or self.alert is not None
        return not stopped, self.rollout.state is not RolloutState.HELD, not self.ready, self.rollout.flag


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One rollout of many, by what is stored of it: no gate is asked."""

    rollout: Rollout
    stage: Stage
    sentence: str
    alarm: tuple[str, Status] | None


@dataclass(frozen=True, slots=True)
class RolloutsScreen:
    """Every rollout, as of `now`: few of them as cards, more as a table, a page at a time."""

    now: datetime
    guard: GuardView
    lines: tuple[RolloutLine, ...]
    rows: tuple[RolloutRow, ...]
    wanted: RolloutQuery
    page: int
    pages: int
    total: int
    welcome: WelcomeView | None = None
    """The first steps of a new installation; None once it is under way."""

    @property
    def searched(self) -> bool:
        """Return whether only some of the rollouts were asked for."""
        return bool(self.wanted.q or self.wanted.tag or self.wanted.state or self.wanted.stage)


def read(
    session: Session, wanted: RolloutQuery | None = None, *, page: int = 1, now: datetime, lease_seconds: float
) -> RolloutsScreen:
    """Return the list, the urgent first."""
    wanted = wanted or RolloutQuery()
    everything = [each for each in store.load_all(session) if not drill.is_over(each)]
    found, _ = listing.page(everything, wanted, now)
    watching = guard.read(session, now=now, lease_seconds=lease_seconds)
    names: dict[str, list[str]] = {}
    for each in everything:
        names.setdefault(flag_of(each.flag), []).append(each.flag)
    if len(everything) <= CARDS_MAX:
        lines = sorted((_line(session, rollout, names, now) for rollout in found), key=lambda line: line.urgency)
        steps = welcome.read(session, everything)
        return RolloutsScreen(now, watching, tuple(lines), (), wanted, 1, 1, len(found), steps)
    alarms = alert_store.alarms(session)
    found.sort(key=lambda rollout: _urgency(rollout, alarms))
    pages = max(1, -(-len(found) // ROWS_MAX))
    page = min(max(page, 1), pages)
    on_page = found[(page - 1) * ROWS_MAX : page * ROWS_MAX]
    rows = tuple(_row(rollout, names, alarms, now) for rollout in on_page)
    return RolloutsScreen(now, watching, (), rows, wanted, page, pages, len(found))


def _urgency(rollout: Rollout, alarms: Alarms) -> tuple[bool, bool, str]:
    """Sort by it ascending: stopped or alarmed, held, then by name."""
    stopped = rollout.latched or (rollout.flag, rollout.attempt) in alarms
    return not stopped, rollout.state is not RolloutState.HELD, rollout.flag


def _row(rollout: Rollout, names: Names, alarms: Alarms, now: datetime) -> RolloutRow:
    elsewhere = summaries.environments_elsewhere(rollout.flag, names[flag_of(rollout.flag)])
    sentence = summaries.status_sentence(rollout, None, now, migration_of(rollout.flag), elsewhere=elsewhere)
    return RolloutRow(rollout, stage(rollout, now), sentence, alarms.get((rollout.flag, rollout.attempt)))


def _line(session: Session, rollout: Rollout, names: Names, now: datetime) -> RolloutLine:
    gates = rollouts.gates(session, rollout, now)
    verdicts = alerts.verdicts_of(session, rollout)
    entries = audit.latest(session, subject=f"rollout:{rollout.flag}", limit=ENTRIES_READ)
    elsewhere = summaries.environments_elsewhere(rollout.flag, names[flag_of(rollout.flag)])
    changes = [entry for entry in entries if entry.action.startswith(CHANGE)]
    return RolloutLine(
        rollout=rollout,
        stage=stage(rollout, now),
        phases=summaries.timeline(rollout, {}, now),
        sentence=summaries.status_sentence(
            rollout,
            gates,
            now,
            migration_of(rollout.flag),
            incident=audit_entry.incident(rollout, entries),
            elsewhere=elsewhere,
        ),
        reach=summaries.reach_now(rollout, elsewhere),
        elsewhere=summaries.decided_elsewhere(elsewhere),
        alert=_worst(verdicts),
        watched=len(applicable(rules_file.current().rules, rollout.flag)),
        soak_left=max(timedelta(0), rollout.entered_at + rollout.phase.soak - now),
        ready=_ready(rollout, gates),
        needs_approval=any(gate.status is GateStatus.UNKNOWN for gate in gates),
        last=audit_entry.entry_view(changes[0]) if changes else None,
    )


def _worst(verdicts: Sequence[Verdict]) -> Verdict | None:
    worst = max(verdicts, key=lambda verdict: SEVERITY.index(verdict.status), default=None)
    return worst if worst and worst.status not in (Status.OK, Status.INSUFFICIENT) else None


def _ready(rollout: Rollout, gates: Sequence[GateResult]) -> bool:
    running = rollout.state is RolloutState.RUNNING
    return running and not any(gate.status is GateStatus.CLOSED for gate in gates)
