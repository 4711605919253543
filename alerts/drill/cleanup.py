"""The end of a drill: its flag is closed and archived, by the drill itself or, if that was killed, by the leader."""

from collections.abc import Mapping
from datetime import datetime

from flask import Flask
from sqlalchemy.orm import Session

from alerts.drill.flag import FLAG
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import jobs, leases
from control_plane.rollouts import archive
from control_plane.rollouts import store as rollout_store

LEASE = "guard-drill"
LEASE_SECONDS = 10.0
LOOK_SECONDS = 5.0
GUARD = "guard"
LEADER = "leader"
OVER = "The drill is over."


def acquire_lease(session: Session, holder: str, *, now: datetime) -> bool:
    """Take or renew the drill's lease; return False while another drill has it."""
    return leases.acquire(session, LEASE, holder, now=now, ttl_seconds=LEASE_SECONDS) is not None


def renew(holder: str, now: datetime) -> None:
    """Renew the drill's lease."""
    with transaction() as session:
        acquire_lease(session, holder, now=now)


def close(holder: str, attempt: int, *, now: datetime, actor: str) -> None:
    """End the drill: nobody is exposed by its flag any more, no SDK is told of it, and the next one may begin."""
    with transaction() as session:
        _close(session, attempt, now=now, actor=actor, reason="The drill ended before the guard rolled it back.")
        leases.release(session, LEASE, holder, now=now)


def close_abandoned(now: datetime) -> None:
    """Close the flag of a drill that is not there any more."""
    with transaction() as session:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None or rollout.archived or not acquire_lease(session, LEADER, now=now):
            return
        _close(session, rollout.attempt, now=now, actor=GUARD, reason="The drill that opened this flag is gone.")
        leases.release(session, LEASE, LEADER, now=now)


def cause_of_rollback(session: Session, attempt: int) -> Mapping[str, object]:
    """Return the guard's verdict that rolled this attempt of the drill's flag back.

    Empty where it was somebody else.
    """
    for entry in audit.latest(session, subject=f"rollout:{FLAG}"):
        before, after = entry.before or {}, entry.after or {}
        was_latched = before.get("state") == RolloutState.ROLLED_BACK  # such an entry adds a cause and changes nothing
        if entry.action == "rollout.roll_back" and after.get("attempt") == attempt and not was_latched:
            verdicts: list[Mapping[str, object]] = after.get("evidence", {}).get("verdicts", [])
            return verdicts[0] if entry.actor == GUARD and verdicts else {}
    return {}


def init_app(app: Flask) -> None:
    """Let the leader look after drills that were killed."""
    jobs.run_on_leader(app, LOOK_SECONDS, "close-drill", close_abandoned)


def _close(session: Session, attempt: int, *, now: datetime, actor: str, reason: str) -> None:
    rollout = rollout_store.load(session, FLAG)
    if rollout is not None and rollout.attempt == attempt and rollout.state is not RolloutState.ROLLED_BACK:
        rollouts.roll_back(session, FLAG, ChangeContext(now, actor, reason), attempt=attempt)
        rollout = rollouts.find(session, FLAG)
    if rollout is not None and rollout.attempt == attempt and not rollout.archived:
        change = ChangeContext(now, actor, OVER)
        archive.archive(session, FLAG, change, expected_version=rollout.version, confirm_losing=True)
