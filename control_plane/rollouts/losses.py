"""What a change takes from users who have the flag: found by the package that evaluates flags; people confirm it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout, position_after
from control_plane.core.transitions import LOSES_USERS, Loss, Reason
from control_plane.platform.extensions import AppState

LossQuery = Callable[[Session, Rollout, Rollout, datetime], Loss | None]
"""Counts who would lose the flag from one state of a rollout to another; None where it is certain that nobody does."""

LOSS_QUERY = AppState[LossQuery | None]("loss_query", lambda: None)


def register_loss_query(query: LossQuery) -> None:
    """Let `query` count; call it inside an application context."""
    LOSS_QUERY.set(current_app, query)


def loss_by_advance(session: Session, rollout: Rollout, now: datetime) -> Loss | None:
    """Return the loss by the next step; None where nobody can lose."""
    position = position_after(rollout.plan, rollout.position)
    return loss_between(session, rollout, replace(rollout, position=position), now) if position else None


def loss_between(session: Session, before: Rollout, after: Rollout, now: datetime) -> Loss | None:
    """Return the loss by a change of the position or the plan; None where nobody can lose."""
    query = LOSS_QUERY.get()
    return query(session, before, after, now) if query else None


def split_confirmed(reasons: list[Reason], *, confirm_losing: bool) -> tuple[list[Reason], dict[str, object]]:
    """Return the reasons that stand against a plan, and as evidence the losses that were confirmed with it."""
    if not confirm_losing:
        return reasons, {}
    confirmed = [reason.sentence for reason in reasons if reason.code == LOSES_USERS]
    left = [reason for reason in reasons if reason.code != LOSES_USERS]
    return left, {"confirmed_losing": {"steps": confirmed}} if confirmed else {}
