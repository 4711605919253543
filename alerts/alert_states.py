"""The state of one alert from tick to tick: counts since the last one become evidence."""

from dataclasses import replace
from datetime import UTC, datetime
from math import log, log1p

from sqlalchemy.orm import Session

from alerts.analysis.attribution import Attribution
from alerts.analysis.bursts import Bursts, Increment, learn, weigh
from alerts.analysis.environments import applicable
from alerts.analysis.evidence import Evidence, restart
from alerts.analysis.no_data import DataGap, update_gap
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import discordant_test, step
from alerts.analysis.verdicts import Status, Verdict
from alerts.counters import Counters
from alerts.definitions import rules_file
from alerts.store import AlertMemory, StepStart
from control_plane.core.transitions import Action
from control_plane.experiments.registry import migration_of
from control_plane.platform.observability import account_failures, account_hours
from control_plane.rollouts import RolloutChanged
from control_plane.signal_counts import Counts

PAST_LOG = log(1000)
"""A fault has passed once so many good outcomes came in a row as at its rate would come one time in a thousand."""


def first_state(session: Session, rule: Rule, counters: Counters, earlier: Bursts | None, now: datetime) -> AlertMemory:
    """Begin an attempt, or a changed question, with what is counted from now on, and with the bursts known before.

    Of a rule per account, those that came in this hour and are still good are counted from now on: they may turn bad.
    """
    data_gap = DataGap(counters.expected(rule), counters.expected(rule))
    known = learn(_histories(earlier), rule.threshold) if earlier else Bursts()
    return AlertMemory(
        seen=counters.of(rule) - Counts(0, still_good(session, rule, now)),
        evidence=Evidence(),
        seen_pairs=counters.discordant(rule),
        pairs=Evidence(),
        verdict=None,
        data_gap=data_gap,
        seen_operations=counters.operations_of(rule) if rule.by_account else counters.of(rule),
        seen_control=counters.control_of(rule),
        seen_served=counters.served_of(rule),
        bursts=known,
        excess_before=counters.excess_of(rule),
    )


def begin_attempt(session: Session, changed: RolloutChanged) -> None:
    """Let no account's share of the last attempt's failures count in the one that a change begins."""
    is_stepped_back = changed.action is Action.STEP_BACK and changed.after.stepped_back_at == changed.context.now
    if changed.action is Action.REARM or is_stepped_back:
        flag = changed.after.flag
        migration = migration_of(flag)
        # Alerts may guard a flag that has no migration by what is counted for others.
        by_rules = {rule.metric.signal for rule in applicable(rules_file.current().rules, flag)}
        account_failures.begin_attempt(session, by_rules.union(migration.signals.all if migration else ()))


def _histories(bursts: Bursts) -> Bursts:
    """Return what was learnt, without what it was used for."""
    runs = bursts.candidate_runs, bursts.control_runs
    return Bursts(bursts.candidate, bursts.control, candidate_runs=runs[0], control_runs=runs[1])


def next_state(rule: Rule, before: AlertMemory, counters: Counters, now: datetime, *, exposed: bool) -> AlertMemory:
    """Return the state after what was counted since; the same where nothing was."""
    totals, pair_totals = counters.of(rule), counters.discordant(rule)
    operation_totals = counters.operations_of(rule) if rule.by_account else totals
    operations = operation_totals.since(before.seen_operations)
    data_gap = update_gap(before.data_gap, due=counters.expected(rule), counted=operations.total, now=now)
    excess = max(0, counters.excess_of(rule) - before.excess_before)
    news = (totals, pair_totals, operation_totals, data_gap, excess)
    if news == (before.seen, before.seen_pairs, before.seen_operations, before.data_gap, before.excess):
        return before
    control_totals = counters.control_of(rule)
    control = control_totals.since(before.seen_control)
    evidence, counted = _with_earlier_hours(rule, before, _counted_since(rule, before, totals), counters, now)
    increment = Increment(counted, control, operations)
    evidence, bursts = weigh(rule, evidence, before.bursts, increment, at=now, learning=not exposed)
    served_totals = counters.served_of(rule)
    served = step(
        rule_test(rule, burst_size=bursts.size), before.served, served_totals.since(before.seen_served), at=now
    )
    return _restart_if_passed(
        rule,
        replace(
            before,
            seen=totals,
            evidence=evidence,
            seen_pairs=pair_totals,
            pairs=_pairs(rule, before, pair_totals, now),
            data_gap=data_gap,
            seen_operations=operation_totals,
            seen_control=control_totals,
            seen_served=served_totals,
            served=served,
            bursts=bursts,
            excess=excess,
            good_in_a_row=0 if evidence.bad > before.evidence.bad else before.good_in_a_row + counted.total,
            # A larger burst was learnt, so what was concluded from smaller ones falls with its evidence.
            verdict=before.verdict if bursts.size == before.bursts.size else None,
        ),
    )


def _pairs(rule: Rule, before: AlertMemory, totals: Counts, now: datetime) -> Evidence:
    """Return the evidence of the requests that one side alone failed."""
    if not rule.attributable:
        return before.pairs
    paired_test = discordant_test(window_seconds=rule.window_seconds)
    return step(paired_test, before.pairs, totals.since(before.seen_pairs), at=now)


def _has_passed(rule: Rule, memory: AlertMemory) -> bool:
    """Return whether a fault is over that says nothing against the candidate."""
    if memory.verdict is None or not _is_blameless(rule, memory.verdict):
        return False
    since = memory.evidence.counts - Counts(memory.evidence.base_bad, memory.evidence.base_total)
    return since.rate < 1 and -log1p(-since.rate) * memory.good_in_a_row >= PAST_LOG


def _is_blameless(rule: Rule, verdict: Verdict) -> bool:
    """Return whether the control shared a breach, or had it alone, or it is a hold that blames neither."""
    if verdict.attribution is Attribution.UNKNOWN:
        # A tripwire that can't tell holds for good.
        return rule.metric.engine_unknown and not rule.tripwire and verdict.status is Status.HOLD
    return verdict.breached_since is not None and verdict.attribution is not Attribution.CANDIDATE_ONLY


def _restart_if_passed(rule: Rule, memory: AlertMemory) -> AlertMemory:
    """Begin the evidence anew after a fault that says nothing against the release: its hold ends, its counts stay."""
    if not _has_passed(rule, memory):
        return memory
    evidence, bursts = memory.evidence, memory.bursts
    still_good = evidence.window_total - evidence.window_bad if rule.by_account else 0
    return replace(
        memory,
        evidence=restart(evidence, still_good),
        served=restart(memory.served),
        bursts=replace(bursts, spaced=restart(bursts.spaced)),
        cohorts={cohort: replace(each, evidence=restart(each.evidence)) for cohort, each in memory.cohorts.items()},
    )


def is_of_step(memory: AlertMemory, entered_at: datetime) -> bool:
    """Return whether it is noted what had been counted when the rollout came into its step."""
    return memory.step is not None and memory.step.entered_at == entered_at


def begin_step(after: AlertMemory, entered_at: datetime, counts: Counts) -> AlertMemory:
    """Note the `counts` of the attempt before the step."""
    return replace(after, step=StepStart(entered_at, counts))


def still_good(session: Session, rule: Rule, now: datetime) -> int:
    """Return how many accounts of the running hour may still turn bad; none where the rule counts operations."""
    if not rule.by_account:
        return 0
    return account_hours.still_good(session, rule.metric.signal, rule.metric.engine or "", now)


def _counted_since(rule: Rule, before: AlertMemory, totals: Counts) -> Counts:
    if not rule.by_account:
        return totals.since(before.seen)
    found = totals - before.seen
    return found if found.bad >= 0 and found.total >= 0 else Counts()


def _with_earlier_hours(
    rule: Rule, before: AlertMemory, increment: Counts, counters: Counters, now: datetime
) -> tuple[Evidence, Counts]:
    """Return the evidence with what is of an hour that is over, and what is left of `increment`.

    What turned bad in an hour's last second belongs to the window in which its account came.
    """
    if not rule.by_account or before.evidence.window is None:
        return before.evidence, increment
    running = counters.in_hour(rule, now)
    of_hour = Counts(min(increment.bad, running.bad), min(increment.total, running.total))
    at = datetime.fromtimestamp(before.evidence.window * rule.window_seconds, UTC)
    test = rule_test(rule, burst_size=before.bursts.size)
    return step(test, before.evidence, increment - of_hour, at=at), of_hour
