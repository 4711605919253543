"""Running a drill: operations of a flag that serves nobody, healthy first, then broken wherever v2 answers.

The operations are routed and counted as real ones are. The time that matters runs from the operation whose outcome
completed the evidence to the last operation that v2 still served. However a drill ends, it closes its flag; that of one
that was killed is closed by the leader, once its lease is over.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from uuid import uuid4

from alerts.analysis.rules import error_budgets, rule_test
from alerts.analysis.sequential_test import first_window_log_e
from alerts.drill import attempt, cleanup, store
from alerts.drill.attempt import EVERYONE
from alerts.drill.faults import FAULTS, DrillAction
from alerts.drill.flag import FLAG, RULES, rule_on
from alerts.drill.operator import Operator
from alerts.drill.report import Course, Report, report_on
from control_plane import rollouts
from control_plane.core.phases import LOWEST, RolloutState
from control_plane.platform.clock import DATABASE_CLOCK
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.signal_counts import Counts
from flags import snapshot
from flags.evaluation.rollout_flag import EvaluationContext

SETTLE_SECONDS = 2.0
"""The guard looks at the new attempt before its first operation."""
HEALTHY_SECONDS = 2.0
WATCH_SECONDS = 12.0
"""For how long a guard that should do nothing, or hold, is watched."""
LEARNING_SECONDS = 30.0
FLUSH_SECONDS = 0.25
RENEW_SECONDS = 2.0


def run(
    name: str = "candidate",
    *,
    per_second: int,
    timeout_seconds: float,
    actor: str,
    healthy_seconds: float = HEALTHY_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Drill the guard that is running with the fault of that name, and record how it did. Raises NotGuardedError."""
    now, holder, fault = DATABASE_CLOCK.now(), uuid4().hex, FAULTS[name]
    with transaction() as session:
        attempt.require_guard(session, now)
        number = attempt.begin(session, now, actor, holder, LOWEST if fault.learns else EVERYONE)
    try:
        time.sleep(SETTLE_SECONDS)
        course = Course(fault, clock(), number, holder)
        if fault.learns:
            _operate(course, per_second, LEARNING_SECONDS, LEARNING_SECONDS, clock)
            attempt.move_to_everyone(number, actor)
            time.sleep(SETTLE_SECONDS)
            course = Course(fault, clock(), number, holder)  # what was learnt is the guard's; the drill begins here
        _operate(course, per_second, timeout_seconds, healthy_seconds, clock)
        report = report_on(name, course, clock())
    finally:
        cleanup.close(holder, number, now=DATABASE_CLOCK.now(), actor=actor)
    with transaction() as session:
        store.add(
            session,
            now=now,
            actor=actor,
            passed=report.passed,
            milliseconds=report.milliseconds,
            report=asdict(report),
        )
    return report


def _operate(
    course: Course, per_second: int, timeout_seconds: float, healthy_seconds: float, clock: Callable[[], float]
) -> None:
    """Operate until the flag serves nobody any more, or the guard has had the time that it may take."""
    operate = Operator(course.fault, course.holder)
    flushed_at = renewed_at = course.started
    patience = timeout_seconds if course.fault.expected is DrillAction.ROLLBACK else healthy_seconds + WATCH_SECONDS
    while (elapsed := clock() - course.started) < min(timeout_seconds, patience):
        is_served = _is_served(course.operations)
        if elapsed > healthy_seconds and not is_served:
            break
        _count(course, operate, is_served=is_served, broken=elapsed > healthy_seconds, at=clock())
        if clock() - flushed_at >= FLUSH_SECONDS:
            signals.flush(DATABASE_CLOCK.now())
            flushed_at = clock()
        if clock() - renewed_at >= RENEW_SECONDS:
            cleanup.renew(course.holder, DATABASE_CLOCK.now())
            renewed_at = clock()
            if course.acted_at is None and _is_held():
                course.acted_at = clock()
        time.sleep(max(0.0, course.started + course.operations / per_second - clock()))
    signals.flush(DATABASE_CLOCK.now())  # what is counted now belongs to this attempt and not to the next drill's


def _is_served(number: int) -> bool:
    context = EvaluationContext(f"drill-{number}")
    with read_only() as session:
        _, answer = snapshot.evaluate_now(session, FLAG, context, now=DATABASE_CLOCK.now())
    return bool(answer.value)


def _is_held() -> bool:
    with read_only() as session:
        return rollouts.find(session, FLAG).state is RolloutState.HELD


def _count(course: Course, operate: Operator, *, is_served: bool, broken: bool, at: float) -> None:
    failed = operate(course.operations, is_served=is_served, broken=broken)
    course.operations += 1
    course.served += is_served
    if is_served:
        course.last_served_at = at
    course.failed += failed
    if not broken:
        return
    course.outcomes += 1
    if course.broken_at is None:
        course.broken_at = at
    if course.evident_at is None and failed and is_served and course.fault.expected is DrillAction.ROLLBACK:
        rule = rule_on(course.fault.shows_as)
        log_e = first_window_log_e(rule_test(rule), Counts(course.failed, course.served))
        if log_e >= (error_budgets(RULES)[rule.name].rollback_log_e or 0.0):
            course.evident_at, course.needed = at, course.failed
