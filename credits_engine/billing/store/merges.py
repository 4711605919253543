"""Which user became part of which other one."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from control_plane.platform.auth import erasures
from control_plane.platform.db.database import execute_core
from credits_engine.billing.models import MERGES
from credits_engine.store.tables import insert_if_absent, inserted

ADD = insert_if_absent(MERGES)


def add(session: Session, user_id: str, into: str, *, now: datetime, by: str) -> None:
    """Note a merge. Whoever was merged into `user_id` before belongs to `into` from now on, who may be one of them."""
    execute_core(session, delete(MERGES).where(MERGES.c.user_id == into))
    execute_core(session, update(MERGES).where(MERGES.c.into_user_id == user_id).values(into_user_id=into))
    row = {"user_id": user_id, "into_user_id": into, "merged_at": now, "merged_by": by}
    if not inserted(session, ADD, row):
        execute_core(session, update(MERGES).where(MERGES.c.user_id == user_id).values(into_user_id=into))


def current(session: Session, user_id: str) -> str:
    """Return the user that this one belongs to by now, or the pseudonym of somebody who was erased."""
    name = erasures.current_name(session, user_id)
    found = session.scalar(select(MERGES.c.into_user_id).where(MERGES.c.user_id == name))
    return found or name
