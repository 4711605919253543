"""The attempt that a drill makes of its flag: no gate is asked, for nothing is served behind it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from alerts.drill import cleanup
from alerts.drill.flag import DRILL, FLAG
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, Rollout, RolloutState
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import account_failures, signal_points
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import store as rollout_store

EVERYONE = Position(3, 3)
REASON = "A drill of the guard."


class NotGuardedError(RuntimeError):
    """No guard is running, so there is nothing to drill."""


def require_guard(session: Session, now: datetime) -> None:
    """Raise NotGuardedError where no guard is running."""
    expires_at = leases.guard_expires_at(session)
    if expires_at is None or expires_at <= now:
        raise NotGuardedError("No guard is running; start the server with `rollout serve` and drill it then.")


def begin(session: Session, now: datetime, actor: str, holder: str, position: Position) -> int:
    """Begin a new attempt of the drill's flag at `position`, and return its number.

    No gate is asked: nothing is served behind this flag. Raises NotGuardedError while another drill runs.
    """
    if not cleanup.acquire_lease(session, holder, now=now):
        raise NotGuardedError("Another drill is running; wait for its end.")
    if rollout_store.load(session, FLAG) is None:
        rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, actor, REASON))
    account_failures.begin_attempt(session, DRILL.signals.all)
    # What the last drill broke is still in the windows, and would be held for or against this one's.
    signal_points.forget_signals(session, DRILL.signals.all)
    found = rollouts.find(session, FLAG)
    after = replace(
        found,
        version=found.version + 1,
        attempt=found.attempt + 1,
        state=RolloutState.RUNNING,
        position=position,
        entered_at=now,
        state_changed_at=now,
        state_reason=REASON,
        held_by_guard=False,
        archived_at=None,
        latches_all=False,
    )
    return _move(session, found, after, now, actor)


def move_to_everyone(attempt: int, actor: str) -> None:
    """Expose everyone in the attempt that has learnt."""
    now = clock.now()
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        if found.attempt != attempt or found.latched:
            raise NotGuardedError("Its flag was changed by somebody else meanwhile.")
        running = replace(found, state=RolloutState.RUNNING, held_by_guard=False)
        _move(
            session, found, replace(running, version=found.version + 1, position=EVERYONE, entered_at=now), now, actor
        )


def _move(session: Session, before: Rollout, after: Rollout, now: datetime, actor: str) -> int:
    if not rollout_store.compare_and_set(session, after, expected_version=before.version):
        raise NotGuardedError("Another drill is running; wait for its end.")
    audit.record(
        session,
        ChangeContext(now, actor, REASON),
        action="guard.drill",
        subject=f"rollout:{FLAG}",
        before=rollouts.summary(before),
        after=rollouts.summary(after),
    )
    change_feed.publish(session, rollouts.TOPIC, FLAG, now=now)
    return after.attempt
