"""Leases in the database, taken by compare-and-set: the leader's and the guard's.

Leadership is a hint that keeps work from being done twice; what must not happen twice carries the leader's
`term` or a compare-and-set of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Executable, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import DialectInsert, dialect_insert, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.models import ChangeRow, LeaseRow

GUARD = "guard"
NEWEST_CHANGE = select(func.max(ChangeRow.id)).scalar_subquery()


def _beating(insert: DialectInsert) -> Executable:
    statement = insert(LeaseRow.__table__)
    renewed = {"term": statement.excluded.term, "expires_at": statement.excluded.expires_at}
    # A leader whose term is over renews nothing: its heartbeat touches no row.
    current = LeaseRow.term <= statement.excluded.term
    return statement.on_conflict_do_update(index_elements=["name"], set_=renewed, where=current)


BEAT = CompiledStatement(per_dialect(_beating))
REVISION = CompiledStatement(select(func.coalesce(NEWEST_CHANGE, 0).label("revision")))
"""A statement of its own: Citus inserts nothing beside a query of another table."""
TAKER, TAKEN_AT, UNTIL = (
    bindparam(name, type_=column.type)
    for name, column in (("taker", LeaseRow.holder), ("taken_at", LeaseRow.expires_at), ("until", LeaseRow.expires_at))
)
RENEW = CompiledStatement(
    # The holder renews under the same term. Everybody else waits for the end and takes over under the next term, by
    # which work that the old holder still has under way is refused.
    update(LeaseRow)
    .where(LeaseRow.name == bindparam("lease", type_=LeaseRow.name.type))
    .where(or_(LeaseRow.holder == TAKER, LeaseRow.expires_at <= TAKEN_AT))
    .values(
        holder=TAKER, term=case((LeaseRow.holder == TAKER, LeaseRow.term), else_=LeaseRow.term + 1), expires_at=UNTIL
    )
    .returning(LeaseRow.term)
)
FIRST = CompiledStatement(per_dialect(lambda insert: insert(LeaseRow.__table__).on_conflict_do_nothing()))


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease: its holder, the holder's fencing term, and until when it lasts."""

    holder: str
    term: int
    expires_at: datetime


def find(session: Session, name: str) -> LeaseState | None:
    """Return the lease as it stands; None before anybody took it."""
    found = session.get(LeaseRow, name, populate_existing=True)
    return LeaseState(found.holder, found.term, found.expires_at) if found else None


def acquire(session: Session, name: str, holder: str, *, now: datetime, ttl_seconds: float) -> int | None:
    """Take or renew the lease; returns its fencing term, or None while somebody else holds it."""
    until = now + timedelta(seconds=ttl_seconds)
    renewed = RENEW.fetch_one(session, {"lease": name, "taker": holder, "taken_at": now, "until": until})
    if renewed is not None:
        return int(renewed.term)
    # Nobody ever held it: of two processes that insert at once, the other one finds the row, and its holder.
    first = FIRST.execute(session, {"name": name, "holder": holder, "term": 1, "expires_at": until})
    return 1 if first == 1 else None


def release(session: Session, name: str, holder: str, *, now: datetime) -> None:
    """Let the next one lead at once."""
    session.execute(
        update(LeaseRow).where(LeaseRow.name == name, LeaseRow.holder == holder).values(expires_at=now, holder="")
    )


def heartbeat(session: Session, *, now: datetime, term: int, ttl_seconds: float) -> int | None:
    """Record that the guard judges: exposure is allowed for `ttl_seconds`. None when a newer leader has beaten since.

    Otherwise the revision of the change feed, which whoever judges would ask for next; 0 before the first change.
    """
    expires_at = now + timedelta(seconds=ttl_seconds)
    row = {"name": GUARD, "holder": GUARD, "term": term, "expires_at": expires_at}
    if BEAT.execute(session, row) == 0:
        return None
    return int(REVISION.fetch_one(session, {}).revision)


def rows(session: Session) -> list[dict[str, object]]:
    """Return every lease as it stands, for whoever replaces the database."""
    return [dict(row) for row in session.execute(select(LeaseRow.__table__)).mappings()]


def put_back(session: Session, saved: Sequence[Mapping[str, object]]) -> None:
    """Let these leases stand as they were: a term never falls back to one that somebody was fenced off by."""
    for row in saved:
        statement = dialect_insert(session, LeaseRow).values(**row)
        session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=dict(row)))


def guard_expires_at(session: Session) -> datetime | None:
    """Return until when the guard's last heartbeat allows exposure; None before the first."""
    return session.scalar(select(LeaseRow.expires_at).where(LeaseRow.name == GUARD))
