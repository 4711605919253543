"""The guard's gates on an advance: no alert alarms, safety is shown, and the step has really been served."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alerts import store
from alerts.alert_states import still_good
from alerts.analysis.environments import alerts_of_production, applicable
from alerts.analysis.evidence import LN_10, Evidence
from alerts.analysis.no_data import DataGap
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Rule
from alerts.analysis.safety_evidence import SafetyEvidence, safety_evidence
from alerts.analysis.verdicts import RELEASE_LOG_E, Status, Verdict, bad_of
from alerts.counters import Counters
from alerts.definitions import rules_file
from alerts.store import AlertMemory
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout
from control_plane.experiments.migration import Migration
from control_plane.experiments.registry import migration_of, names_of
from control_plane.platform.models import SignalMinute
from control_plane.rollout_names import rollout_title
from control_plane.signal_counts import Counts

NOTHING = AlertMemory(Counts(), Evidence(), Counts(), Evidence(), None, DataGap())
ALARMING = (Status.BLIND, Status.HOLD, Status.ROLLBACK)
PRODUCTION_ALONE = "production_alone"
"""In the evidence of a rollout of one environment: the alerts that say nothing of it."""
SUSPECT_LOG10 = RELEASE_LOG_E / LN_10
"""A window over its threshold is mostly chance; it closes the gate only with evidence that would keep a hold."""


def firing(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Close re-arming while the window that ends now is over any threshold."""
    if problem := _without_rules():
        return GateResult("firing", GateStatus.CLOSED, problem)
    rules = [rule for rule in applicable(rules_file.current().rules, rollout.flag) if not rule.metric.notifies_only]
    if not rules:
        return GateResult("firing", GateStatus.UNKNOWN, _unwatched(rollout))
    counters = Counters.read(session, rules, now)
    windows = {rule.name: counters.in_window(rule, now).of(rule) for rule in rules}
    over = [rule for rule in rules if windows[rule.name].rate > rule.threshold]
    evidence = {name: {"bad": counts.bad, "total": counts.total} for name, counts in windows.items()}
    if over:
        sentences = [
            f"{rule.name}: still over its threshold, {bad_of(windows[rule.name], rule.per)} were bad in the last "
            f"{duration_text(rule.window_seconds)}."
            for rule in over
        ]
        return GateResult("firing", GateStatus.CLOSED, " ".join(sentences), evidence)
    return GateResult("firing", GateStatus.OPEN, "No alert fires now.", evidence)


def guardrails(session: Session, rollout: Rollout, _now: datetime) -> GateResult:
    """Close while any alert holds, is blind or has evidence; unknown before the guard has judged this attempt."""
    if problem := _without_rules():
        return GateResult("guardrails", GateStatus.CLOSED, problem)
    rules = applicable(rules_file.current().rules, rollout.flag)
    notifying = {rule.name for rule in rules if rule.metric.notifies_only}  # what callers do closes no gate
    found = store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
    verdicts = [verdict for verdict in found if verdict.alert not in notifying]
    alarming = [verdict for verdict in verdicts if is_alarming(verdict)]
    evidence = {verdict.alert: verdict.status.value for verdict in verdicts}
    if alarming:
        reason = " ".join(f"{verdict.alert}: {verdict.reason}" for verdict in alarming)
        return GateResult("guardrails", GateStatus.CLOSED, reason, evidence)
    if not rules:
        return GateResult("guardrails", GateStatus.UNKNOWN, _unwatched(rollout), evidence)
    if not verdicts and not rollout.latched:
        return GateResult("guardrails", GateStatus.UNKNOWN, "The guard has not judged this attempt yet.", evidence)
    reason = "No alert stands against it."
    if unknown := alerts_of_production(rules_file.current().rules, rollout.flag):
        reason += (
            f" What {', '.join(unknown)} would say of {rollout.plan.environment} is not known: they judge production."
        )
        return GateResult("guardrails", GateStatus.OPEN, reason, {**evidence, PRODUCTION_ALONE: unknown})
    return GateResult("guardrails", GateStatus.OPEN, reason, evidence)


def safety(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Open once the answers that the candidate gave, serving or shadowing, show that it is below the thresholds.

    Or, where the plan takes a risk, once the chance that it is above is small enough. What was shown before this step
    doesn't open it while the step itself is worse.
    """
    if problem := _without_rules():
        return GateResult("safety", GateStatus.CLOSED, problem)
    found = _evidence_of_safety(session, rollout, now)
    if not found:
        reason = f"No alert of {rollout_title(rollout.flag)} counts outcomes that could show it to be safe."
        return GateResult("safety", GateStatus.UNKNOWN, reason)
    evidence = {each.alert: each.to_json() for each in found}
    missing = [each for each in found if not each.is_sufficient]
    if missing:
        return GateResult("safety", GateStatus.UNKNOWN, " ".join(each.reason for each in missing), evidence)
    risky = [each for each in found if not each.certificate.granted]
    if risky:
        return GateResult("safety", GateStatus.OPEN, " ".join(each.reason for each in risky), evidence)
    candidate = names_of(rollout.flag).candidate
    reason = f"{candidate} is shown to be below every threshold that must be."
    return GateResult("safety", GateStatus.OPEN, reason, evidence)


def served(session: Session, rollout: Rollout, _now: datetime) -> GateResult:
    """Open once the flag's candidate has served as often in this step as the plan asks for."""
    migration = migration_of(rollout.flag)
    if migration is None:
        reason = f"No traffic of {rollout_title(rollout.flag)} is known: nobody counts what is served behind it."
        return GateResult("served", GateStatus.UNKNOWN, reason, {"required": rollout.phase.served_minimum})
    count, wanted = _served_since(session, migration, rollout.entered_at), rollout.phase.served_minimum
    evidence = {"served": count, "required": wanted}
    if count >= wanted:
        reason = f"{migration.candidate} served {count:,} operations in this step."
        return GateResult("served", GateStatus.OPEN, reason, evidence)
    reason = f"{migration.candidate} served {count:,} of the {wanted:,} operations that this step must see."
    return GateResult("served", GateStatus.UNKNOWN, reason, evidence)


def is_alarming(verdict: Verdict) -> bool:
    """Return whether `verdict` closes the gate: it holds, is blind, or has evidence that would keep a hold."""
    return verdict.status in ALARMING or verdict.evidence_log10 >= SUSPECT_LOG10


def _without_rules() -> str | None:
    """Return why no alert is in force; None when alerts.yaml could be used."""
    found = rules_file.current()
    return None if found.loaded else f"No alert is in force. {found.problem}"


def _unwatched(rollout: Rollout) -> str:
    if rollout.plan.is_of_one_environment:
        return (
            f"No alert judges what {rollout.plan.environment} shows, so nothing guards {rollout_title(rollout.flag)}."
        )
    return f"No alert in alerts.yaml speaks of {rollout.flag}, so nothing guards it."


def _evidence_of_safety(session: Session, rollout: Rollout, now: datetime) -> list[SafetyEvidence]:
    remembered = store.memories(session, rollout.flag, attempt=rollout.attempt)
    certifying = [rule for rule in applicable(rules_file.current().rules, rollout.flag) if rule.metric.certifies]
    return [
        _of_rule(session, rule, remembered.get((rule.name, rule.fingerprint)) or NOTHING, rollout, now)
        for rule in certifying
    ]


def _of_rule(session: Session, rule: Rule, memory: AlertMemory, rollout: Rollout, now: datetime) -> SafetyEvidence:
    is_current = memory.step is not None and memory.step.entered_at == rollout.entered_at
    before = memory.step.before if memory.step and is_current else Counts()
    seconds = (now - rollout.entered_at).total_seconds()
    during = _since(before, memory.all_counts(rule, still_good(session, rule, now)))
    return safety_evidence(rule, before, during, seconds=seconds, risk=rollout.phase.safety_risk, now=now)


def _since(before: Counts, counts: Counts) -> Counts:
    """Subtract what was counted before the step; an account that came before it may have turned bad in it."""
    bad = max(0, counts.bad - before.bad)
    return Counts(bad, max(bad, counts.total - before.total))


def _served_since(session: Session, migration: Migration, since: datetime) -> int:
    total = select(func.sum(SignalMinute.total)).where(
        SignalMinute.signal == migration.signals.failure,
        SignalMinute.engine == migration.candidate,
        SignalMinute.role == "served",
        # The minute of the advance also holds answers of the step before.
        SignalMinute.minute > int(since.timestamp()) // 60,
    )
    return int(session.scalar(total) or 0)
