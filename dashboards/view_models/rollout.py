"""The screen of one rollout: how it stands, what may happen next, what the guard sees, what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts.overrides.store import Override
from control_plane import rollouts
from control_plane.audiences.exposure import PRODUCTION
from control_plane.core import rollbacks
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.latch import environments_on
from control_plane.core.moves import next_move
from control_plane.core.phase_gates import AdvanceMode
from control_plane.core.phases import Rollout, RolloutState, exposure
from control_plane.experiments.credits import FLAG
from control_plane.experiments.migration import SideNames
from control_plane.experiments.registry import migration_of
from control_plane.platform.auth import audit
from control_plane.platform.observability import signals
from control_plane.rollout_names import flag_of
from control_plane.rollouts import approvals, store
from control_plane.rollouts.segments import segment_notices
from dashboards import archive_actions, guardrails, summaries
from dashboards.audience_sentences import segment_sentence
from dashboards.chart_windows import ChartWindow, time_scale
from dashboards.charts import CARD
from dashboards.engine_counts import EngineCounts, engine_counts, served_share
from dashboards.filters import first_sentence, sentence
from dashboards.guardrails import AlertView
from dashboards.move_sentences import move_sentence
from dashboards.side_names import localized_names
from dashboards.summaries import PhaseView
from dashboards.user_action import UserAction
from dashboards.view_models import alerts, audit_entry, guard, remediation
from dashboards.view_models.audit_entry import EntryView
from dashboards.view_models.guard import GuardView
from dashboards.view_models.remediation import RemediationView
from flags.client_features.reach_counts import REACH_COUNTS, Reach

ENTRIES_READ, ENTRIES_MAX = 100, 6
OBSERVED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class RolloutScreen:
    """Everything the page of one rollout shows, as of `now`."""

    now: datetime
    rollout: Rollout
    names: SideNames
    """What the page calls both sides."""
    sentence: str
    phases: tuple[PhaseView, ...]
    gates: tuple[GateResult, ...]
    rearm_gates: tuple[GateResult, ...]
    move: str
    """When the plan takes its next step by itself; empty where a person does."""
    alerts: tuple[AlertView, ...]
    silenced: tuple[Override, ...]
    """Alerts of any rollout that may only notify for now."""
    engines: tuple[EngineCounts, ...]
    """What each engine answered in the last hour; empty for a flag whose traffic nobody counts."""
    observed: float | None
    """The part of the answers that the candidate gave since the last change, in five minutes at most."""
    known: Reach | None
    """How many of the known users have the flag; None until that was counted."""
    guard: GuardView
    entries: tuple[EntryView, ...]
    window: ChartWindow
    """How much time the charts show."""
    remediation: RemediationView | None
    """What the rollback that ended this attempt left behind, or an earlier one whose corrections still wait."""
    segments: Sequence[str]
    """What became of segments that the plan names, in sentences."""
    others: Sequence[str]
    """The names of the flag's other rollouts: its own, and those of single environments."""

    @property
    def flag(self) -> str:
        return self.rollout.flag

    @property
    def elsewhere(self) -> str:
        """Say where other rollouts of the flag decide; empty where none does."""
        return summaries.decided_elsewhere(self._elsewhere)

    @property
    def _elsewhere(self) -> Sequence[str]:
        return summaries.environments_elsewhere(self.flag, self.others)

    @property
    def overrides(self) -> Sequence[Override]:
        """Return those of this rollout."""
        return [each for each in self.silenced if each.flag == self.flag]

    @property
    def advance_label(self) -> str:
        return summaries.advance_label(self.rollout)

    @property
    def step_back_label(self) -> str | None:
        return summaries.step_back_label(self.rollout)

    @property
    def reach(self) -> str:
        """Describe whom the plan admits at this step; nobody while it is rolled back."""
        return summaries.reach_now(self.rollout, self._elsewhere)

    @property
    def stays_on(self) -> bool:
        """Return whether a rollback left the flag on somewhere."""
        return bool(environments_on(self.rollout, self._elsewhere))

    @property
    def reaches_production(self) -> bool:
        """Return whether anybody in production may have the flag."""
        return not exposure(self.rollout, PRODUCTION).empty

    @property
    def face(self) -> str:
        """Name the badge of the state: what is archived is no longer merely rolled back."""
        return "archived" if self.rollout.archived else self.rollout.state.value

    @property
    def flag_name(self) -> str:
        """Return the name of the flag's own rollout, which decides where this one ends."""
        return flag_of(self.flag)

    @property
    def endings(self) -> Sequence[UserAction]:
        """Return the actions by which the rollout ends, or comes back."""
        return [archive_actions.archive_action(self.rollout, verb) for verb in archive_actions.verbs(self.rollout)]

    @property
    def takes_approvals(self) -> bool:
        """Return whether the plan asks others to approve the next step, or a change of it."""
        return any(approvals.needed(self.rollout, subject) for subject in ApprovalSubject)

    @property
    def is_report_pending(self) -> bool:
        """Return whether a report on the rollback is being prepared."""
        return self.rollout.latched and self.in_journal and self.remediation is None

    @property
    def in_journal(self) -> bool:
        """Return whether the credits' journal has every answer of both engines."""
        return self.flag == FLAG

    @property
    def figures(self) -> str:
        """Return the whole reason of a hold or a rollback, where the sentence says only the first part of it."""
        reason = self.rollout.state_reason
        has_reason = self.rollout.latched or self.rollout.state is RolloutState.HELD
        return reason if has_reason and first_sentence(reason) != sentence(reason) else ""

    @property
    def running(self) -> bool:
        return self.rollout.state is RolloutState.RUNNING

    @property
    def closed(self) -> tuple[GateResult, ...]:
        return _with(self.gates, GateStatus.CLOSED)

    @property
    def changed_lately(self) -> bool:
        """Return whether the exposure changed within the time of which traffic is observed."""
        return self.now - _changed_at(self.rollout) < OBSERVED

    @property
    def unknown(self) -> tuple[GateResult, ...]:
        return _with(self.gates, GateStatus.UNKNOWN)

    @property
    def rearm_closed(self) -> tuple[GateResult, ...]:
        """Return the gates that keep a new attempt from starting."""
        return _with(self.rearm_gates, GateStatus.CLOSED)

    @property
    def entering(self) -> int | None:
        """Return how many known users the next step lets in, as the leader last counted; None where it did not."""
        found = (gate.evidence.get("entering") for gate in self.gates)
        return next((each for each in found if isinstance(each, int)), None)

    @property
    def may_advance(self) -> bool:
        """Return whether only a person's approval is missing."""
        return self.running and not self.closed

    @property
    def rearm_from(self) -> datetime | None:
        """When the cool-down ends; None unless it runs."""
        ends = rollbacks.cool_down_ends(self.rollout)
        return ends if self.rollout.latched and self.now < ends else None

    @property
    def soaked(self) -> float:
        """The part of the soak time that is over, 0 to 1."""
        required = self.rollout.phase.soak
        passed = self.now - self.rollout.entered_at
        return min(1.0, max(0.0, passed / required)) if required else 1.0


def read(
    session: Session, flag: str, *, now: datetime, lease_seconds: float, window: ChartWindow = ChartWindow.HOUR
) -> RolloutScreen:
    """Return the screen of `flag`; raises UnknownRolloutError."""
    of_flag = {each.flag: each for each in store.of_flag(session, flag_of(flag))}
    rollout = of_flag.pop(flag, None)
    if rollout is None:
        raise rollouts.UnknownRolloutError(flag)
    gates = rollouts.gates(session, rollout, now)
    entries = audit.latest(session, subject=f"rollout:{flag}", limit=ENTRIES_READ)
    minutes = signals.minutes(session, now - 2 * guardrails.HISTORY).items()
    scale = time_scale(window, now, rollout.entered_at)
    return RolloutScreen(
        now=now,
        rollout=rollout,
        names=localized_names(migration_of(flag)),
        sentence=summaries.status_sentence(
            rollout,
            gates,
            now,
            migration_of(flag),
            incident=audit_entry.incident(rollout, entries),
            elsewhere=summaries.environments_elsewhere(flag, of_flag),
        ),
        phases=summaries.timeline(rollout, audit_entry.phases_entered(rollout, entries), now),
        gates=tuple(gates),
        move=_move(session, rollout, gates, now),
        rearm_gates=tuple(rollouts.rearm_gates(session, rollout, now)) if rollout.latched else (),
        alerts=alerts.views(session, rollout, minutes, scale=scale, frame=CARD, entries=entries),
        silenced=alerts.silenced(session, now=now),
        engines=_engines(flag, minutes, now),
        observed=_observed(rollout, minutes, now),
        known=REACH_COUNTS.get().find(rollout),
        guard=guard.read(session, now=now, lease_seconds=lease_seconds),
        entries=tuple(audit_entry.entry_view(entry) for entry in entries[:ENTRIES_MAX]),
        window=window,
        remediation=remediation.of_rollout(session, rollout) if flag == FLAG else None,
        segments=[segment_sentence(each) for each in segment_notices(session, rollout.plan)],
        others=sorted(of_flag),
    )


def _move(session: Session, rollout: Rollout, gates: Sequence[GateResult], now: datetime) -> str:
    if rollout.phase.advance is AdvanceMode.BY_HAND or rollout.state is not RolloutState.RUNNING:
        return ""
    move = next_move(rollout, gates, now=now, is_approved=bool(approvals.given(session, rollout)))
    return move_sentence(rollout, move, gates)


def _engines(flag: str, minutes: guardrails.Minutes, now: datetime) -> tuple[EngineCounts, ...]:
    """Return the counts of the flag's migration; what is served behind a flag without one is counted nowhere."""
    migration = migration_of(flag)
    return engine_counts(_recent(minutes, now), migration) if migration else ()


def _changed_at(rollout: Rollout) -> datetime:
    return max(rollout.entered_at, rollout.state_changed_at)


def _observed(rollout: Rollout, minutes: guardrails.Minutes, now: datetime) -> float | None:
    migration = migration_of(rollout.flag)
    if migration is None:
        return None
    # The minute of the change also holds answers from before it.
    changed = int(_changed_at(rollout).timestamp()) // 60
    first = max(changed + 1, int((now - OBSERVED).timestamp()) // 60)
    since = [(key, count) for key, count in minutes if key[1] >= first]
    return served_share(engine_counts(since, migration))


def _recent(minutes: guardrails.Minutes, now: datetime) -> guardrails.Minutes:
    """Return the last hour alone: more was read, so that its first minutes have a whole window behind them."""
    first = int((now - guardrails.HISTORY).timestamp()) // 60
    return [(key, count) for key, count in minutes if key[1] >= first]


def _with(gates: Sequence[GateResult], status: GateStatus) -> tuple[GateResult, ...]:
    return tuple(gate for gate in gates if gate.status is status)
