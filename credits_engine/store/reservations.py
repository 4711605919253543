"""Rows of reservations, and the giving back of what they held."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Table, bindparam, exists, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.store.tables import COUNTERS, LEGACY, PACK_ENTRIES, RESERVATIONS, ResultRow


class ReservationState(StrEnum):
    """A reservation is finalized once; every state but `pending` is final."""

    PENDING = "pending"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class StoredReservation:
    """One reservation: what it holds, in which period of each book, and how it ended if it did."""

    user_id: str
    key: str
    state: ReservationState
    journal_id: int
    finalized_by: int | None
    engine: EngineName
    amounts: Amounts
    committed: Amounts
    v2_period_start: datetime
    legacy_period_start: datetime
    reserved_at: datetime
    expires_at: datetime
    drew: bool = False
    """Whether packs paid a part of it."""


ADD = insert(RESERVATIONS)
DREW = exists().where(
    PACK_ENTRIES.c.user_id == bindparam("user_id"), PACK_ENTRIES.c.journal_id == RESERVATIONS.c.journal_id
)
OF_KEY = select(RESERVATIONS, DREW.label("drew")).where(
    RESERVATIONS.c.user_id == bindparam("user_id"), RESERVATIONS.c.key == bindparam("key")
)
LOCK_OF_KEY = OF_KEY.with_for_update(of=RESERVATIONS)
OVERDUE = (
    select(RESERVATIONS.c.user_id, RESERVATIONS.c.key)
    .where(RESERVATIONS.c.state == ReservationState.PENDING.value, RESERVATIONS.c.expires_at <= bindparam("now"))
    .order_by(RESERVATIONS.c.expires_at)
    .limit(bindparam("most"))
)
CHANGE_ENGINE = (
    update(RESERVATIONS)
    .where(RESERVATIONS.c.user_id == bindparam("of_user"), RESERVATIONS.c.key == bindparam("of_key"))
    .values(engine=bindparam("by"))
)
FINALIZE = (
    update(RESERVATIONS)
    .where(RESERVATIONS.c.user_id == bindparam("of_user"), RESERVATIONS.c.key == bindparam("of_key"))
    .values(
        state=bindparam("to"),
        settled_by=bindparam("by"),
        committed=bindparam("kept"),
    )
)


def add(session: Session, stored: StoredReservation) -> None:
    """Store a new reservation."""
    execute_core(
        session,
        ADD,
        {
            "user_id": stored.user_id,
            "key": stored.key,
            "state": stored.state.value,
            "journal_id": stored.journal_id,
            "settled_by": None,
            "engine": stored.engine.value,
            "amounts": stored.amounts,
            "committed": NOTHING,
            "v2_period_start": stored.v2_period_start,
            "legacy_period_start": stored.legacy_period_start,
            "reserved_at": stored.reserved_at,
            "expires_at": stored.expires_at,
        },
    )


def find(session: Session, user_id: str, key: str) -> StoredReservation | None:
    """Return the reservation under a key, without a lock."""
    return _stored(execute_core(session, OF_KEY, {"user_id": user_id, "key": key}).one_or_none())


def has_pending(session: Session, user_id: str, *, key_prefix: str = "") -> bool:
    """Return whether credits of an account are reserved, of keys that begin so."""
    is_pending = RESERVATIONS.c.state == ReservationState.PENDING.value
    named = RESERVATIONS.c.key.startswith(key_prefix, autoescape=True)
    return bool(session.scalar(select(exists().where(RESERVATIONS.c.user_id == user_id, is_pending, named))))


def lock(session: Session, user_id: str, key: str) -> StoredReservation | None:
    """Return the reservation under a key, locked; take it before any lock on a book."""
    return _stored(execute_core(session, LOCK_OF_KEY, {"user_id": user_id, "key": key}).one_or_none())


def change_engine(session: Session, user_id: str, key: str, engine: EngineName) -> None:
    """Let a reservation be one that `engine` granted."""
    execute_core(session, CHANGE_ENGINE, {"of_user": user_id, "of_key": key, "by": engine.value})


def overdue(session: Session, now: datetime, *, most: int) -> list[tuple[str, str]]:
    """Return user and key of pending reservations whose time is up, longest first."""
    return [(row.user_id, row.key) for row in execute_core(session, OVERDUE, {"now": now, "most": most})]


def finalize(
    session: Session, stored: StoredReservation, *, state: ReservationState, journal_id: int, committed: Amounts
) -> None:
    """Write how a reservation ended."""
    execute_core(
        session,
        FINALIZE,
        {
            "of_user": stored.user_id,
            "of_key": stored.key,
            "to": state.value,
            "by": journal_id,
            "kept": committed,
        },
    )


def give_back(session: Session, stored: StoredReservation, amounts: Amounts) -> dict[EngineName, Amounts]:
    """Take `amounts` off both books in the periods that were charged; returns what each book's row went down by.

    That is less than asked for only where a reset has emptied the book since: nothing goes below zero.
    """
    v2_row = (COUNTERS.c.user_id == stored.user_id) & (COUNTERS.c.period_start == stored.v2_period_start)
    legacy_row = (LEGACY.c.user_id == stored.user_id) & (LEGACY.c.month_start == stored.legacy_period_start)
    return {
        EngineName.V2: _lower(session, COUNTERS, row=v2_row, amounts=amounts),
        EngineName.LEGACY: _lower(session, LEGACY, row=legacy_row, amounts=amounts),
    }


def _lower(session: Session, book: Table, *, row: ColumnElement[bool], amounts: Amounts) -> Amounts:
    used: Amounts = session.execute(select(book.c.used).where(row).with_for_update()).scalar_one()
    # Never below zero: a reset may have emptied the book while the reservation was held.
    lowered = Amounts.of(lambda kind: min(amounts[kind], used[kind]))
    session.execute(update(book).where(row).values(used=used - lowered))
    return lowered


def _stored(row: ResultRow) -> StoredReservation | None:
    if row is None:
        return None
    return StoredReservation(
        user_id=row.user_id,
        key=row.key,
        state=ReservationState(row.state),
        journal_id=row.journal_id,
        finalized_by=row.settled_by,
        engine=EngineName(row.engine),
        amounts=row.amounts,
        committed=row.committed,
        v2_period_start=row.v2_period_start,
        legacy_period_start=row.legacy_period_start,
        reserved_at=row.reserved_at,
        expires_at=row.expires_at,
        drew=bool(row.drew),
    )
