"""The guard's tick: read the counters, turn them into evidence, judge, remember, and hold or roll back.

A tick is a function of what is stored and of `now`: run twice, or by two leaders at once, it does no harm. The
heartbeat comes first, so that a leader whose term is over is turned away before it writes anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.orm import Session

from alerts import blast_radius_guard, state_cache
from alerts import store as alert_store
from alerts.alert_states import begin_step, first_state, is_of_step, next_state, still_good
from alerts.analysis.agreement import Case, contradictions, judge_together
from alerts.analysis.attribution import Arms, Attribution
from alerts.analysis.cohorts import Cohort, CohortCounts, most_certain
from alerts.analysis.cohorts import update as update_cohorts
from alerts.analysis.environments import applicable, with_environments
from alerts.analysis.evidence import Evidence
from alerts.analysis.facts import Facts
from alerts.analysis.incident import incident_sentence, is_incident
from alerts.analysis.rules import Action, ErrorBudget, NoData, Rule, error_budgets
from alerts.analysis.verdicts import GRAVITY, Status, Verdict, to_json
from alerts.counters import Counters
from alerts.drill.flag import FLAG as DRILL
from alerts.incident_costs import cost_sentence
from alerts.notifications import messages, outbox
from alerts.state_cache import TickInputs
from alerts.store import AlertMemory, AlertStateUpdate
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout, RolloutState, exposure
from control_plane.core.transitions import Decision, Transition
from control_plane.platform.runtime import leases

ACTOR = "guard"
CALM = "No alert holds it any more."
NOTICE_WINDOW_SECONDS = 60
"""For how long after its time a notice may still be written, by a leader that was away."""

log = structlog.get_logger()


class FencedError(RuntimeError):
    """A newer leader has taken over; this tick must leave no trace."""


def tick(
    session: Session, rules: Sequence[Rule], *, now: datetime, term: int, lease_seconds: float
) -> list[Transition]:
    """Judge every rollout once; returns what was done to them. Raises FencedError if a newer leader has ticked.

    The life of a breach, from an outcome to an SDK:
    1. `platform/observability/signals.py`: the outcome is counted where it happens, and written before the next tick
    2. `guard_job.py`: once a second on the leader, one transaction
    3. `platform/runtime/leases.py`: the heartbeat, which also says whether anything changed since the last tick
    4. `counters.py`: the counts since the last tick, per engine and role
    5. `analysis/bursts.py`, `sequential_test.py`, `verdicts.py`: counts into evidence, evidence into a verdict; pure
    6. `store.py`, `state_cache.py`: evidence and verdict, under this leader's term
    7. `control_plane/rollouts/service.py:roll_back`: the latch by compare-and-set, audit, announcement, notification
    8. `platform/runtime/change_feed.py`: every process is woken after the commit
    9. `flags/client_features/refresher.py`: the feature set without the candidate, from `flags/unleash/compiler.py`
    10. `flags/protocols/streaming.py` pushes what changed; `client_api.py` gives it to the next poll
    """
    revision = leases.heartbeat(session, now=now, term=term, ttl_seconds=lease_seconds)
    if revision is None:
        raise FencedError(f"Term {term} is over; a newer leader guards.")
    decided = state_cache.active_decisions(session, now=now, term=term, revision=revision)
    watching = with_environments(rules, [rollout.flag for rollout in decided.rollouts])
    counters = Counters.read(session, watching, now)
    budgets = error_budgets(watching)
    inputs = TickInputs(watching, counters, decided, [decided.overridden(each, now) for each in decided.rollouts])
    if not state_cache.is_news(session, inputs, now=now, term=term):
        return []
    done = []
    for rollout, overridden in zip(decided.rollouts, inputs.overridden, strict=True):
        ours = [
            WatchedRule(rule, budgets[rule.name], rule.name in overridden) for rule in applicable(rules, rollout.flag)
        ]
        verdicts = _judge_rollout(session, rollout, ours, counters, now=now, term=term)
        decision = _act(session, rollout, verdicts, watching, now) or blast_radius_guard.enforce(
            session, rollout, now=now, actor=ACTOR
        )
        if isinstance(decision, Transition):
            log.warning("guard.acted", flag=rollout.flag, action=decision.action, reason=decision.reason)
            done.append(decision)
    return done


class WatchedRule(NamedTuple):
    """A rule of a rollout, its share of the error budget, and whether somebody lets it only notify for the moment."""

    rule: Rule
    budget: ErrorBudget
    is_overridden: bool

    @property
    def acting(self) -> Rule:
        """Return the rule as it may act now; a tripwire always may."""
        may_only_notify = self.is_overridden and not self.rule.tripwire
        return replace(self.rule, action=Action.NOTIFY) if may_only_notify else self.rule


def _judge_rollout(
    session: Session, rollout: Rollout, rules: Sequence[WatchedRule], counters: Counters, *, now: datetime, term: int
) -> list[Verdict]:
    remembered = _of_present(session, rollout, rules, state_cache.load(session, rollout, term=term))
    exposed = not exposure(rollout, rollout.plan.environment).empty
    missing = any((each.rule.name, each.rule.fingerprint) not in remembered for each in rules)
    earlier = alert_store.earlier_bursts(session, rollout.flag) if missing else {}
    cases, afters = [], []
    for watched in rules:
        rule, budget, _ = watched
        before = remembered.get((rule.name, rule.fingerprint)) or replace(
            first_state(session, rule, counters, earlier.get(rule.name), now), verdict=_held(remembered, rule)
        )
        after = next_state(rule, before, counters, now, exposed=exposed)
        if not is_of_step(after, rollout.entered_at):
            after = begin_step(after, rollout.entered_at, before.all_counts(rule, still_good(session, rule, now)))
        begins = (rule.name, rule.fingerprint) not in remembered
        if rule.has_cohorts and (begins or _has_counted(before, after)):
            after = _weigh_cohorts(rule, after, counters.by_cohort(session, rule), now, begins=begins)
        facts = _facts(rule, after, counters, budget, exposed=exposed, now=now)
        cases.append(Case(watched.acting, _evidence(rule, after), facts, budget, after.verdict))
        afters.append((rule, before, after))
    verdicts = judge_together(cases, now)
    changed = []
    for (rule, before, after), verdict in zip(afters, verdicts, strict=True):
        if exposed:
            _notify_no_data(session, rollout, rule, before.verdict, verdict)
        _notify_concern(session, rollout, rule, before.verdict, verdict)
        if _has_changed(before, after, verdict):
            changed.append(AlertStateUpdate(rule, rollout.attempt, replace(after, verdict=verdict)))
    state_cache.save(session, rollout, remembered, changed, now=now, term=term)
    return verdicts


def _of_present(
    session: Session, rollout: Rollout, rules: Sequence[WatchedRule], remembered: state_cache.Memories
) -> state_cache.Memories:
    """Return what is remembered of the alerts that there are; what others said last holds nothing up any more."""
    present = {each.rule.name for each in rules}
    if absent := {name for name, _ in remembered} - present:
        alert_store.withdraw_verdicts(session, rollout.flag, absent)
        return {key: memory for key, memory in remembered.items() if key[0] in present}
    return remembered


def _held(remembered: state_cache.Memories, rule: Rule) -> Verdict | None:
    """Return the verdict by which an alert held that asks another question now: that ends no hold at once."""
    verdicts = (memory.verdict for (name, _), memory in remembered.items() if name == rule.name)
    held = next((each for each in verdicts if each is not None and each.status is Status.HOLD), None)
    return held and held._replace(breached_since=None, calm_since=None)


def _evidence(rule: Rule, memory: AlertMemory) -> Evidence:
    """Return the evidence with that of failures that lie apart; accounts have no order in which they could."""
    return memory.evidence if rule.by_account else memory.bursts.combine(memory.evidence)


def _has_counted(before: AlertMemory, after: AlertMemory) -> bool:
    """Return whether there may be news of its cohorts: they are read only then, for most ticks bring none."""
    return (after.seen, after.excess) != (before.seen, before.excess)


def _weigh_cohorts(
    rule: Rule, memory: AlertMemory, counts: Mapping[Cohort, CohortCounts], now: datetime, *, begins: bool
) -> AlertMemory:
    weighed, size = rule.in_operations, memory.bursts.size
    found = update_cohorts(weighed, memory.cohorts, counts, at=now, burst_size=size, begins=begins)
    return memory if found is memory.cohorts else replace(memory, cohorts=found)


def _facts(
    rule: Rule, memory: AlertMemory, counters: Counters, budget: ErrorBudget, *, exposed: bool, now: datetime
) -> Facts:
    window = counters.in_window(rule, now)
    return Facts(
        exposed=exposed,
        window=window.of(rule),
        silent_seconds=memory.silence.seconds,
        pairs=window.pairs(rule, memory.pairs) if rule.needs_pairs else None,
        arms=window.arms(rule),
        arms_of_attempt=Arms(memory.bursts.candidate.counts, memory.bursts.control.counts),
        served=memory.served,
        legacy_faults=window.legacy_faults(rule),
        burst_size=memory.bursts.size,
        cohort=most_certain(rule, memory.cohorts, budget, memory.evidence.counts),
    )


def _has_changed(before: AlertMemory, after: AlertMemory, verdict: Verdict) -> bool:
    """Return whether anything changed: a second without news writes nothing but the heartbeat."""
    if after is not before or before.verdict is None:
        return True
    # The counts are the same. What else a verdict says can differ in these alone; its sentence costs more to compose.
    earlier, current = (
        (each.status, each.cause, each.window, each.rollback_log10, each.calm_since)
        for each in (before.verdict, verdict)
    )
    return earlier != current


def _notify_no_data(session: Session, rollout: Rollout, rule: Rule, before: Verdict | None, verdict: Verdict) -> None:
    """Tell people once when an alert has had nothing to judge by for long; without traffic that is no fault."""
    if before is None or rule.no_data is NoData.IGNORE or {before.status, verdict.status} != {Status.INSUFFICIENT}:
        return
    # A verdict is stored when it changes, so the stored one says since when nothing has happened.
    quiet_seconds = (verdict.at - before.at).total_seconds() - rule.no_data_notice_seconds
    if 0 <= quiet_seconds < NOTICE_WINDOW_SECONDS:
        message = messages.of_no_data(rollout.flag, rollout.attempt, rule.name, since=before.at)
        outbox.enqueue(session, message, now=verdict.at)


def _notify_concern(session: Session, rollout: Rollout, rule: Rule, before: Verdict | None, verdict: Verdict) -> None:
    """Tell people, once an hour at most, of what is grave enough to act and may only be told."""
    was_notified = before is not None and before.notifies
    if rule.tripwire and was_notified and before:  # which fires again with each further bad outcome
        was_notified = before.counts.bad == verdict.counts.bad
    if verdict.notifies and not was_notified and rollout.flag != DRILL:
        sentence = incident_sentence(verdict, rule.own_migration)
        message = messages.of_concern(rollout.flag, rollout.attempt, verdict, sentence)
        outbox.enqueue(session, message, now=verdict.at)


def _are_candidates(verdicts: Sequence[Verdict], rules: Sequence[Rule]) -> bool:
    """Return whether everything that asks for a rollback is certainly the candidate's, and nothing a tripwire."""
    tripwires = {rule.name for rule in rules if rule.tripwire}
    breached = [verdict for verdict in verdicts if verdict.status is Status.ROLLBACK]
    return all(each.attribution is Attribution.V2_ONLY and each.alert not in tripwires for each in breached)


def _act(
    session: Session, rollout: Rollout, verdicts: Sequence[Verdict], rules: Sequence[Rule], now: datetime
) -> Decision | None:
    """Roll back first, whatever the state; then hold; then release the guard's own hold."""
    worst = max(verdicts, key=lambda verdict: GRAVITY[verdict.status], default=None)
    if worst is None or rollout.latched:
        return None
    act: Callable[..., Decision]
    reason = ""
    match worst.status:
        case Status.ROLLBACK:
            is_candidates = _are_candidates(verdicts, rules)
            act = partial(rollouts.answer_breach, attempt=rollout.attempt, is_candidates=is_candidates)
        case Status.HOLD | Status.BLIND if rollout.state is RolloutState.RUNNING:
            act = partial(rollouts.hold, by_guard=True)
        case Status.OK | Status.INSUFFICIENT | Status.WATCH if rollout.held_by_guard:
            act, reason = partial(rollouts.resume, by_guard=True), CALM
        case _:
            return None
    reason = reason or _reason(rollout, worst, verdicts, rules, now)
    evidence = {"verdicts": [to_json(verdict) for verdict in verdicts if verdict.status is worst.status]}
    return act(session, rollout.flag, ChangeContext(now, ACTOR, reason, evidence))


def _reason(rollout: Rollout, worst: Verdict, verdicts: Sequence[Verdict], rules: Sequence[Rule], now: datetime) -> str:
    """Say why the guard acts: what happened, what it costs, and the figures of the gravest verdict."""
    rule = next((rule for rule in rules if rule.name == worst.alert), None)
    said = incident_sentence(worst, rule.own_migration) if rule and is_incident(worst) else worst.cohort
    cost = cost_sentence(rollout, now) if worst.status is Status.ROLLBACK else ""
    sentences = [said, cost, f"{worst.conclusion}{contradictions(worst, verdicts)}"]
    return f"{worst.alert}: {' '.join(filter(None, sentences))}"
