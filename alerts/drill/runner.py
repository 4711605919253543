"""Running a drill: operations of a flag that serves nobody, healthy first, then broken wherever v2 answers.

The operations are routed and counted as real ones are. The time that matters runs from the operation whose outcome
completed the evidence to the last operation that v2 still served. However a drill ends, it closes its flag; that of one
that was killed is closed by the leader, once its lease is over.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import log
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from alerts.analysis.evidence import Counts
from alerts.analysis.rules import ATTEMPT_ALPHA, rule_test
from alerts.analysis.sequential_test import first_window_log_e
from alerts.drill import cleanup, store
from alerts.drill.flag import FLAG, RULE, SIGNAL
from control_plane import rollouts
from control_plane import store as rollout_store
from control_plane.phases import Position, Rollout, RolloutState, default_plan
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import change_feed, leases
from flags import snapshot
from flags.evaluation.rollout_flag import EvaluationContext

SETTLE_SECONDS = 2.0
"""The guard looks at the new attempt before its first operation."""
HEALTHY_SECONDS = 2.0
FLUSH_SECONDS = 0.25
RENEW_SECONDS = 2.0
EVERYONE = Position(3, 3)


class NotGuardedError(RuntimeError):
    """No guard is running, so there is nothing to drill."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a drill. `milliseconds` is None when v2 was still serving as time ran out.

    `milliseconds` is None where it did not pass, and `reason` says why not.
    """

    passed: bool
    milliseconds: int | None
    reason: str
    operations: int
    served_by_v2: int
    failed: int
    failures_needed: int


@dataclass(slots=True)
class _Course:
    """A drill while it runs; seconds are of the monotonic clock."""

    started: float
    attempt: int
    holder: str
    operations: int = 0
    served: int = 0
    failed: int = 0
    needed: int = 0
    evident_at: float | None = None
    last_served_at: float | None = None


def run(
    *,
    per_second: int,
    timeout_seconds: float,
    actor: str,
    healthy_seconds: float = HEALTHY_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Drill the guard that is running, and record how it did. Raises NotGuardedError."""
    now, holder = datetime.now(UTC), uuid4().hex
    with transaction() as session:
        _require_guard(session, now)
        attempt = _expose(session, now, actor, holder)
    try:
        time.sleep(SETTLE_SECONDS)
        course = _Course(clock(), attempt, holder)
        _operate(course, per_second, timeout_seconds, healthy_seconds, clock)
        report = _reported(course)
    finally:
        cleanup.close(holder, attempt, now=datetime.now(UTC), actor=actor)
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


def _require_guard(session: Session, now: datetime) -> None:
    expires_at = leases.guard_expires_at(session)
    if expires_at is None or expires_at <= now:
        raise NotGuardedError("No guard is running; start the server with `rollout serve` and drill it then.")


def _expose(session: Session, now: datetime, actor: str, holder: str) -> int:
    """Open the drill's flag to everyone in a new attempt, whose number is returned.

    No gate is asked: nothing is served behind this flag. Raises NotGuardedError while another drill runs.
    """
    if not cleanup.is_held_by(session, holder, now=now):
        raise NotGuardedError("Another drill is running; wait for its end.")
    if rollout_store.load(session, FLAG) is None:
        rollouts.plan(session, FLAG, default_plan(now), now=now, actor=actor, reason="A drill of the guard.")
    found = rollouts.find(session, FLAG)
    after = replace(
        found,
        version=found.version + 1,
        attempt=found.attempt + 1,
        state=RolloutState.RUNNING,
        position=EVERYONE,
        entered_at=now,
        state_changed_at=now,
        state_reason="A drill of the guard.",
        held_by_guard=False,
    )
    if not rollout_store.compare_and_set(session, after, expected_version=found.version):
        raise NotGuardedError("Another drill is running; wait for its end.")
    audit.record(
        session,
        now=now,
        actor=actor,
        action="guard.drill",
        subject=f"rollout:{FLAG}",
        before=rollouts.summary(found),
        after=rollouts.summary(after),
        reason="A drill of the guard.",
    )
    change_feed.publish(session, rollouts.TOPIC, FLAG, now=now)
    return after.attempt


def _operate(
    course: _Course, per_second: int, timeout_seconds: float, healthy_seconds: float, clock: Callable[[], float]
) -> None:
    flushed_at = renewed_at = course.started
    while (elapsed := clock() - course.started) < timeout_seconds:
        served = _served_by_v2(course.operations)
        if not served and elapsed > healthy_seconds:
            break
        _count(course, served=served, broken=elapsed > healthy_seconds, at=clock())
        if clock() - flushed_at >= FLUSH_SECONDS:
            signals.flush(datetime.now(UTC))
            flushed_at = clock()
        if clock() - renewed_at >= RENEW_SECONDS:
            cleanup.renew(course.holder, datetime.now(UTC))
            renewed_at = clock()
        time.sleep(max(0.0, course.started + course.operations / per_second - clock()))
    signals.flush(datetime.now(UTC))  # what is counted now belongs to this attempt and not to the next drill's


def _served_by_v2(number: int) -> bool:
    context = EvaluationContext(f"drill-{number}")
    with read_only() as session:
        _, answer = snapshot.evaluate_now(session, FLAG, context, now=datetime.now(UTC))
    return bool(answer.value)


def _count(course: _Course, *, served: bool, broken: bool, at: float) -> None:
    course.operations += 1
    if not served:
        return
    course.served += 1
    course.failed += broken
    course.last_served_at = at
    signals.record(Sample(SIGNAL, bad=broken))
    if course.evident_at is None and broken:
        log_e = first_window_log_e(rule_test(RULE), Counts(course.failed, course.served))
        if log_e >= -log(ATTEMPT_ALPHA):
            course.evident_at, course.needed = at, course.failed


def _reported(course: _Course) -> Report:
    with read_only() as session:
        rollout = rollouts.find(session, FLAG)
        cause = cleanup.cause_of_rollback(session, course.attempt)
    reason = _why_not(course, rollout, cause)
    milliseconds = None
    if not reason:
        assert course.evident_at is not None
        assert course.last_served_at is not None
        milliseconds = round((course.last_served_at - course.evident_at) * 1000)
    return Report(not reason, milliseconds, reason, course.operations, course.served, course.failed, course.needed)


def _why_not(course: _Course, rollout: Rollout, cause: Mapping[str, Any]) -> str:
    """Why the drill proves nothing; empty where its own failures made the guard roll back."""
    if not rollout.latched:
        return f"v2 still served after {course.operations} operations, {course.failed} of them failed."
    if rollout.attempt != course.attempt:
        return "Its flag was changed by somebody else meanwhile."
    if cause.get("alert") != SIGNAL:
        return f"It was not the drill's alert that rolled back: {rollout.state_reason}"
    if course.evident_at is None or course.last_served_at is None:
        return f"It was rolled back after {course.failed} failures, before they were evidence enough."
    if cause["counts"]["bad"] > course.failed:
        return f"The guard counted {cause['counts']['bad']} failures, of which only {course.failed} were the drill's."
    return ""
