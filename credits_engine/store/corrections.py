"""Corrections: both books by amounts of their own, and freezes."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import rowcount_of
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.periods import Period
from credits_engine.store.books import POST_LEGACY, POST_V2
from credits_engine.store.tables import FREEZES, insert_if_absent, inserted

FREEZE = insert_if_absent(FREEZES)


def post_each(session: Session, user_id: str, *, v2: tuple[Period, Amounts], legacy: tuple[Period, Amounts]) -> None:
    """Move each book by its own amounts in its own period; the caller holds both rows."""
    for statement, (period, amounts) in ((POST_V2(), v2), (POST_LEGACY(), legacy)):
        if amounts != NOTHING:
            statement.execute(session, {"of_user": user_id, "at_start": period.start, "amounts": amounts})


def freeze(session: Session, user_id: str, *, now: datetime, actor: str, reason: str) -> bool:
    """Note that this user, or `*` for everybody, may not consume; False when that stands already."""
    row = {"user_id": user_id, "frozen_at": now, "actor": actor, "reason": reason}
    return inserted(session, FREEZE, row)


def unfreeze(session: Session, user_id: str) -> bool:
    """Take that back; False when there was nothing to take back."""
    return rowcount_of(session, delete(FREEZES).where(FREEZES.c.user_id == user_id)) == 1


def freezes(session: Session) -> list[dict[str, Any]]:
    """List the users who may not consume, since when and why."""
    return [dict(row) for row in session.execute(select(FREEZES).order_by(FREEZES.c.user_id)).mappings()]


def frozen_because(session: Session, user_id: str) -> str | None:
    """Why exactly this user, or `*`, is frozen; None when it is not."""
    return session.scalar(select(FREEZES.c.reason).where(FREEZES.c.user_id == user_id))
