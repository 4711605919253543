"""The alerts of `alerts.yaml`: what each has seen, and how much it takes to hold or to roll back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from alerts import store as alert_store
from alerts.analysis.environments import applicable, with_environments, without_rollout
from alerts.analysis.rules import ErrorBudget, Rule, error_budgets
from alerts.analysis.verdicts import Verdict
from alerts.definitions import rules_file
from alerts.definitions.explanation import ErrorsNeeded, errors_needed
from alerts.drill import flag as drill
from alerts.inbound import store as intake_store
from alerts.notifications import store as notification_store
from alerts.notifications import targets
from alerts.overrides.approval import ASKED_FOR
from alerts.overrides.store import Override, PendingOverride, active, pending, unexpired
from control_plane.core.phases import Rollout
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import AuditEntry
from control_plane.platform.observability import signals
from control_plane.rollouts import store
from dashboards import guardrails
from dashboards.badges import badge_style
from dashboards.chart_windows import ChartWindow, TimeScale, time_scale
from dashboards.charts import CARD, WIDE, Frame
from dashboards.guardrails import AlertView
from dashboards.view_models import guard, threshold_trial
from dashboards.view_models.alert_history import history
from dashboards.view_models.audit_entry import EntryView
from dashboards.view_models.chart_counts import CHART_COUNTS
from dashboards.view_models.guard import GuardView
from dashboards.view_models.threshold_trial import Trial, Wanted

SAMPLES = (5, 10, 20, 50, 100, 200, 500, 1000)
MARKS = 100
LISTED = 10


@dataclass(frozen=True, slots=True)
class ReceivedView:
    """A firing that Alertmanager sent, and what was done about it."""

    alert: str
    flag: str | None
    severity: str | None
    status: str
    action: str
    reason: str
    starts_at: datetime
    last_seen_at: datetime
    deliveries: int


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What became of a notification at one target."""

    label: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class NotificationView:
    """Something that people were told."""

    kind: str
    title: str
    at: datetime
    deliveries: tuple[DeliveryView, ...]


@dataclass(frozen=True, slots=True)
class AlertsScreen:
    """Every alert of every rollout, as of `now`. `problem` says why the file on disk is not in force."""

    now: datetime
    guard: GuardView
    problem: str | None
    flags: tuple[tuple[Rollout, tuple[AlertView, ...]], ...]
    unguarded: tuple[str, ...]
    """Flags about which no alert is."""
    idle: tuple[Rule, ...]
    """Alerts of flags that have no rollout."""
    received: tuple[ReceivedView, ...]
    """What Alertmanager sent last, the newest first."""
    notifications: tuple[NotificationView, ...]
    """What people were told last, the newest first."""


@dataclass(frozen=True, slots=True)
class AlertScreen:
    """One alert in detail."""

    now: datetime
    guard: GuardView
    rollout: Rollout
    alert: AlertView
    override: Override | None
    """While one stands, the alert may only notify."""
    pending_override: PendingOverride | None
    """What one owner asked for and another one may grant."""
    budget: ErrorBudget
    needs: Sequence[ErrorsNeeded]
    trial: Trial | None
    """What another threshold would have done, where somebody asks."""
    history: Sequence[EntryView]
    targets: Sequence[str]
    """Labels of the targets that hear of this rollout."""


def read(session: Session, *, now: datetime, lease_seconds: float) -> AlertsScreen:
    """Return all alerts."""
    minutes = signals.minutes(session, now - 2 * guardrails.HISTORY).items()
    in_use = [each for each in store.load_all(session) if not (each.archived or drill.is_over(each))]
    guarded = [rollout for rollout in in_use if applicable(rules_file.current().rules, rollout.flag)]
    scale = time_scale(ChartWindow.HOUR, now)
    flags = tuple((rollout, views(session, rollout, minutes, scale=scale, frame=CARD)) for rollout in guarded)
    unguarded = tuple(rollout.flag for rollout in in_use if rollout not in guarded)
    idle = tuple(without_rollout(rules_file.current().rules, (each.flag for each in in_use)))
    watching = guard.read(session, now=now, lease_seconds=lease_seconds)
    problem = rules_file.current().problem
    return AlertsScreen(now, watching, problem, flags, unguarded, idle, _received(session), _notifications(session))


def _received(session: Session) -> tuple[ReceivedView, ...]:
    return tuple(
        ReceivedView(
            alert=each.alert,
            flag=each.flag,
            severity=each.severity,
            status=each.status,
            action=each.action,
            reason=each.reason,
            starts_at=each.starts_at,
            last_seen_at=each.last_seen_at,
            deliveries=each.deliveries,
        )
        for each in intake_store.latest(session, limit=LISTED)
    )


def _notifications(session: Session) -> tuple[NotificationView, ...]:
    return tuple(
        NotificationView(
            notification.kind,
            notification.title,
            notification.at,
            tuple(DeliveryView(each.label, each.state, each.error) for each in deliveries),
        )
        for notification, deliveries in notification_store.latest(session, limit=LISTED)
    )


def silenced(session: Session, *, now: datetime) -> tuple[Override, ...]:
    """Return every alert that may only notify now."""
    found = unexpired(session, now=now)
    attempts = {rollout.flag: rollout.attempt for rollout in store.load_all(session)} if found else {}
    newest = {(each.flag, each.alert): each for each in found if attempts.get(each.flag) == each.attempt}
    return tuple(newest.values())


def read_one(
    session: Session, name: str, *, window: ChartWindow, wanted: Wanted, now: datetime, lease_seconds: float
) -> AlertScreen | None:
    """Return one alert; None where no rollout is guarded by one of that name. `wanted` is another threshold to try."""
    minutes = signals.minutes(session, now - 2 * guardrails.HISTORY).items()
    for rollout in store.load_all(session):
        if name not in {rule.name for rule in applicable(rules_file.current().rules, rollout.flag)}:
            continue
        scale = time_scale(window, now, rollout.entered_at)
        entries = audit.latest(session, subject=f"rollout:{rollout.flag}", limit=MARKS)
        for alert in views(session, rollout, minutes, scale=scale, frame=WIDE, entries=entries):
            if alert.name == name:
                budget = error_budgets(with_environments(rules_file.current().rules, [rollout.flag]))[name]
                watching = guard.read(session, now=now, lease_seconds=lease_seconds)
                override = active(session, rollout.flag, attempt=rollout.attempt, now=now).get(name)
                requested = pending(session, rollout.flag, name, attempt=rollout.attempt, since=now - ASKED_FOR)
                return AlertScreen(
                    now,
                    watching,
                    rollout,
                    alert,
                    override,
                    requested,
                    budget,
                    errors_needed(alert.rule, budget, SAMPLES),
                    threshold_trial.read(session, alert.rule, alert.verdict, budget, wanted, now=now),
                    history(entries, name),
                    [label for _, label in targets.targets(rollout.plan.notify)],
                )
    return None


def views(
    session: Session,
    rollout: Rollout,
    minutes: guardrails.Minutes,
    *,
    scale: TimeScale,
    frame: Frame,
    entries: Sequence[AuditEntry] | None = None,
) -> tuple[AlertView, ...]:
    """Return the alerts that guard this rollout, the worst first, with its changes marked on their charts.

    `minutes` are those of the last two hours, beside which a longer scale reads its own counts; `entries` are those of
    the audit trail about the rollout, where the caller has them.
    """
    counts = minutes if scale.step == 1 else CHART_COUNTS.get().read(session, scale).items()
    verdicts = verdicts_of(session, rollout)
    rules = applicable(rules_file.current().rules, rollout.flag)
    if entries is None:
        entries = audit.latest(session, subject=f"rollout:{rollout.flag}", limit=MARKS)
    changes = [(entry.at, badge_style(entry.action).label) for entry in entries]
    layout = guardrails.ChartLayout(scale, frame, changes)
    return guardrails.alert_views(rules, verdicts, counts, layout, is_latched=rollout.latched)


def verdicts_of(session: Session, rollout: Rollout) -> list[Verdict]:
    """Return the last verdicts; of a rollout that is rolled back, those that did it stay as they were then."""
    latest = alert_store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
    if not rollout.latched:
        return latest
    ended = alert_store.rollback_verdicts(session, rollout.flag, attempt=rollout.attempt)
    names = {verdict.alert for verdict in ended}
    return [*ended, *(verdict for verdict in latest if verdict.alert not in names)]
