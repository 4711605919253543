"""Running a drill: operations of a flag that serves nobody, healthy first, then broken wherever v2 answers.

The operations are routed and counted as real ones are. The time that matters runs from the operation whose outcome
completed the evidence to the last operation that v2 still served.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from math import log

from sqlalchemy.orm import Session

from alerts.drill import store
from alerts.drill.flag import FLAG, RULE, SIGNAL
from alerts.judgement.evidence import Counts, first_window_log_e
from alerts.judgement.rules import PHASE_ALPHA, bet_of
from control_plane import rollouts
from control_plane import store as rollout_store
from control_plane.phases import Position, RolloutState, guide_plan
from control_plane.platform import announce, audit, leases, signals
from control_plane.platform.database import reading, transaction
from control_plane.platform.signals import Observation
from flags import snapshot
from flags.phased import EvaluationContext

SETTLE_SECONDS = 2.0
"""The guard looks at the new attempt before its first operation."""
HEALTHY_SECONDS = 2.0
FLUSH_SECONDS = 0.25
EVERYONE = Position(3, 3)


class NotGuardedError(RuntimeError):
    """No guard is running, so there is nothing to drill."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a drill found. `milliseconds` is None when v2 was still serving as time ran out."""

    passed: bool
    milliseconds: int | None
    operations: int
    served_by_v2: int
    failed: int
    failures_needed: int


@dataclass(slots=True)
class _Course:
    """A drill while it runs; seconds are of the monotonic clock."""

    started: float
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
    now = datetime.now(UTC)
    with transaction() as session:
        _require_guard(session, now)
        _expose(session, now, actor)
    time.sleep(SETTLE_SECONDS)
    course = _operate(per_second, timeout_seconds, healthy_seconds, clock)
    report = _reported(course)
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


def _expose(session: Session, now: datetime, actor: str) -> None:
    """Open the drill's flag to everyone in a new attempt. No gate is asked: nothing is served behind this flag."""
    if rollout_store.load(session, FLAG) is None:
        rollouts.plan(session, FLAG, guide_plan(now), now=now, actor=actor, reason="A drill of the guard.")
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
    announce.publish(session, rollouts.TOPIC, FLAG, now=now)


def _operate(per_second: int, timeout_seconds: float, healthy_seconds: float, clock: Callable[[], float]) -> _Course:
    course = _Course(started=clock())
    flushed_at = course.started
    while (elapsed := clock() - course.started) < timeout_seconds:
        served = _served_by_v2(course.operations)
        if not served and elapsed > healthy_seconds:
            break
        _count(course, served=served, broken=elapsed > healthy_seconds, at=clock())
        if clock() - flushed_at >= FLUSH_SECONDS:
            signals.flush(datetime.now(UTC))
            flushed_at = clock()
        time.sleep(max(0.0, course.started + course.operations / per_second - clock()))
    signals.flush(datetime.now(UTC))  # what is counted now belongs to this attempt and not to the next drill's
    return course


def _served_by_v2(number: int) -> bool:
    context = EvaluationContext(f"drill-{number}")
    with reading() as session:
        _, answer = snapshot.evaluate_now(session, FLAG, context, now=datetime.now(UTC))
    return bool(answer.value)


def _count(course: _Course, *, served: bool, broken: bool, at: float) -> None:
    course.operations += 1
    if not served:
        return
    course.served += 1
    course.failed += broken
    course.last_served_at = at
    signals.record(Observation(SIGNAL, bad=broken))
    if course.evident_at is None and broken:
        log_e = first_window_log_e(bet_of(RULE), Counts(course.failed, course.served))
        if log_e >= -log(PHASE_ALPHA):
            course.evident_at, course.needed = at, course.failed


def _reported(course: _Course) -> Report:
    with reading() as session:
        passed = rollouts.find(session, FLAG).latched
    milliseconds = None
    if passed and course.evident_at is not None and course.last_served_at is not None:
        milliseconds = round(timedelta(seconds=course.last_served_at - course.evident_at).total_seconds() * 1000)
    return Report(passed, milliseconds, course.operations, course.served, course.failed, course.needed)
