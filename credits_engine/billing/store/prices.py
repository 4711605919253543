"""Rows of added prices."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.billing.models import PRICES
from credits_engine.store.tables import ResultRow, insert_if_absent, inserted

ALL = select(PRICES).order_by(PRICES.c.id)
ADD = insert_if_absent(PRICES)


def every(session: Session) -> list[ResultRow]:
    """Return every price that was added, in that order."""
    return list(execute_core(session, ALL, {}))


def add(session: Session, row: dict[str, object], *, now: datetime, by: str) -> bool:
    """Add a price; False where somebody else has just done so."""
    return inserted(session, ADD, {**row, "added_at": now, "added_by": by})
