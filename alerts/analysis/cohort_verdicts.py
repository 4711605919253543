"""The verdict on an alert with what one cohort shows: a plan, a kind, accounts that failed before. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from alerts.analysis.attribution import Attribution
from alerts.analysis.cohorts import CohortFinding, cohort_text
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Action, ErrorBudget, Rule
from alerts.analysis.verdicts import GRAVITY, Concern, Status, Verdict
from control_plane.signal_counts import Counts

PREDICATES: Mapping[str, str] = {
    "credit_refused_by_v2_only": "were refused by {candidate} and granted by {control}",
}
BY_ITSELF = "were bad by {alert}"
WINDOW_OUTCOMES_MIN = 10
"""A window with fewer outcomes says less than all since the attempt began."""
TELLS = "So this only notifies."
CONTROL_TOO = "{control} fails there as well, so going back would not help."
ACTED = (Status.HOLD, Status.ROLLBACK)


def with_cohort(
    verdict: Verdict, rule: Rule, inputs: JudgeInputs, *, budget: ErrorBudget, previous: Verdict | None, now: datetime
) -> Verdict:
    """Return `verdict`, or what the cohort at fault makes of it; where that explains a breach of all it is named."""
    finding = inputs.cohort
    if finding is None:
        return verdict
    breached_since = None
    if finding.breached:
        breached_since = verdict.breached_since or (previous.breached_since if previous else None) or now
    sentence = cohort_sentence(rule, finding)
    named = verdict
    if finding.explains and GRAVITY[verdict.status] >= GRAVITY[Status.HOLD]:
        named = verdict._replace(cohort=sentence)
    if rule.by_account:
        return named
    concern = _concern(rule, finding, inputs, breached_since, previous=previous, now=now)
    if concern is None:
        return named
    status, cause = concern
    if status is Status.WATCH:
        mild = GRAVITY[verdict.status] <= GRAVITY[status]
        notifying = named._replace(notifies=True)
        return notifying._replace(status=status, cause=cause, cohort=sentence) if mild else notifying
    if GRAVITY[status] < GRAVITY[verdict.status] or (status is verdict.status and _is_held_by_all(verdict, budget)):
        return named
    return verdict._replace(
        status=status,
        cause=cause,
        cohort=sentence,
        counts=finding.evidence.counts,
        window=_window(finding),
        evidence_log10=finding.evidence.log10,
        rollback_log10=finding.budget.rollback_log10,
        attribution=finding.attribution,
        breached_since=breached_since,
    )


def _is_held_by_all(verdict: Verdict, budget: ErrorBudget) -> bool:
    """Return whether it acts by itself, rather than because a cohort's evidence held it before."""
    is_suspect = budget.hold_log10 is not None and verdict.evidence_log10 >= budget.hold_log10
    return is_suspect or verdict.attribution is not Attribution.UNKNOWN


def cohort_sentence(rule: Rule, finding: CohortFinding) -> str:
    """Say what happened to whom: "All 50 operations of plan starter failed in v2."."""
    names = rule.migration.signals
    predicates = {
        names.failure: "failed in {candidate}",
        names.serving_failure: "failed where {candidate} served them",
        names.difference: "were answered differently by {candidate}",
        **PREDICATES,
    }
    predicate = predicates.get(rule.metric.signal, BY_ITSELF)
    window, whole = _window(finding), finding.evidence.counts
    counts = window if window.bad and window.total >= WINDOW_OUTCOMES_MIN else whole
    number = f"All {counts.total:,}" if counts.bad == counts.total else f"{counts.bad:,} of {counts.total:,}"
    said = predicate.format(alert=rule.name, candidate=rule.names.candidate, control=rule.names.control)
    return f"{number} operations {cohort_text(finding.cohort)} {said}."


def _concern(
    rule: Rule,
    finding: CohortFinding,
    inputs: JudgeInputs,
    breached_since: datetime | None,
    *,
    previous: Verdict | None,
    now: datetime,
) -> Concern | None:
    if not finding.suspect:
        held = previous is not None and previous.cohort and previous.status in ACTED
        return (Status.HOLD, "Held until the evidence stays low.") if held and finding.lingers else None
    if finding.only_notifies:
        return Status.WATCH, f"These are too few accounts to speak for everybody. {TELLS}"
    if finding.attribution in (Attribution.SHARED, Attribution.CONTROL):
        return Status.WATCH, f"{CONTROL_TOO.format(control=rule.names.control_title)} {TELLS}"
    if rule.action is Action.NOTIFY:
        return Status.WATCH, "That is likely over the threshold. This alert only notifies."
    if breached_since is None:
        return Status.HOLD, "That is likely over the threshold."
    return _breach(rule, finding, inputs, breached_since, now)


def _breach(
    rule: Rule, finding: CohortFinding, inputs: JudgeInputs, breached_since: datetime, now: datetime
) -> Concern:
    control, candidate = rule.names.control, rule.names.candidate
    if finding.attribution is not Attribution.CANDIDATE_ONLY:
        return Status.HOLD, f"That is over the threshold; whether {control} would do better is not known."
    over = f"That is over the threshold, and {candidate} alone is to blame."
    if rule.action is Action.HOLD or finding.at_most is Action.HOLD:
        return Status.HOLD, f"{over} This holds at most."
    if not inputs.exposed:
        return Status.HOLD, f"{over} Nobody is exposed in production, so this holds."
    if now - breached_since < timedelta(seconds=rule.for_seconds):
        return Status.HOLD, f"{over} It rolls back if that lasts {duration_text(rule.for_seconds)}."
    return Status.ROLLBACK, over


def _window(finding: CohortFinding) -> Counts:
    return Counts(finding.evidence.window_bad, finding.evidence.window_total)
