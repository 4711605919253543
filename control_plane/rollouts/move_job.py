"""Work of the leader: advance each rollout whose plan says so now.

Nothing is remembered between two looks. The move is a compare-and-set on the version that was looked at, so of any
number of workers one acts; one that is killed in between leaves either the whole move or nothing.
"""

from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.moves import NextMove, next_move
from control_plane.core.phase_gates import AdvanceMode
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Decision, Transition
from control_plane.platform import clock
from control_plane.platform.db.database import current_time, read_only, transaction
from control_plane.platform.runtime import jobs
from control_plane.rollouts import approvals, service, store

ACTOR = "schedule"
LOOK_SECONDS = 5.0

log = structlog.get_logger()


def move_all(now: datetime) -> list[Transition]:
    """Advance every rollout that is due, each in a transaction of its own; returns what was done."""
    with read_only() as session:
        apart = clocks_apart(session)
        waiting = [rollout.flag for rollout in store.load_all(session) if _moves_by_itself(rollout)]
    done = []
    for flag in waiting:
        try:
            with transaction() as session:
                decision = move(session, flag, now, clocks_apart=apart)
        except Exception:  # one rollout that can't be read must not keep all others waiting
            log.exception("schedule.failed", flag=flag)
            continue
        if isinstance(decision, Transition):
            log.info("schedule.moved", flag=flag, phase=decision.after.phase.name)
            done.append(decision)
    return done


def move(session: Session, flag: str, now: datetime, *, clocks_apart: timedelta = timedelta(0)) -> Decision | None:
    """Advance one rollout by one step if it is due; None where it is not."""
    rollout = store.load(session, flag)
    if rollout is None or not _moves_by_itself(rollout):
        return None
    found = planned_move(session, rollout, now, clocks_apart=clocks_apart)
    if not found.is_due:
        return None
    # The gates are asked once more by the advance itself, which also refuses what users would lose by it.
    given = {each.actor: each.reason for each in approvals.given(session, rollout)}
    change = ChangeContext(now, ACTOR, "By the plan's schedule.", service.approved_by(given))
    approval = " ".join(f"Approved by {actor}: {reason}" for actor, reason in given.items())
    return service.advance(session, flag, change, expected_version=rollout.version, approval=approval)


def planned_move(
    session: Session, rollout: Rollout, now: datetime, *, clocks_apart: timedelta = timedelta(0)
) -> NextMove:
    """Say what the plan wants of the rollout now, and why it waits."""
    gates = service.gates(session, rollout, now, asker=ACTOR) if _moves_by_itself(rollout) else []
    is_approved = bool(approvals.given(session, rollout))
    return next_move(rollout, gates, now=now, clocks_apart=clocks_apart, is_approved=is_approved)


def clocks_apart(session: Session) -> timedelta:
    """Return how far this host's clock is from the database's."""
    return current_time(session) - clock.host_time()


def init_app(app: Flask) -> None:
    """Put the moves on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "move-rollouts", move_all)


def _moves_by_itself(rollout: Rollout) -> bool:
    return rollout.state is RolloutState.RUNNING and rollout.phase.advance is not AdvanceMode.BY_HAND
