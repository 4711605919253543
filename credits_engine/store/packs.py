"""Rows of packs, bought or rolled over, and of what moved them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, and_, bindparam, cast, func, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.amounts import Kind
from credits_engine.engines.packs import Allocation, Pack
from credits_engine.engines.receipts import EntryType
from credits_engine.store.accounts import UNSPENT_FROM
from credits_engine.store.tables import JOURNAL, PACK_ENTRIES, PACKS, ResultRow

USABLE = (
    select(PACKS)
    .where(
        PACKS.c.user_id == bindparam("user_id"),
        PACKS.c.remaining > UNSPENT_FROM,
        PACKS.c.expires_at > bindparam("now", type_=PACKS.c.expires_at.type),
    )
    .order_by(PACKS.c.expires_at, PACKS.c.id)
)
LOCK_USABLE = USABLE.with_for_update()
LOCK = (
    select(PACKS).where(PACKS.c.user_id == bindparam("user_id"), PACKS.c.id == bindparam("pack_id")).with_for_update()
)
OWNER = select(PACKS.c.user_id).where(PACKS.c.id == bindparam("pack_id"))
OVERDUE = (
    select(PACKS.c.user_id, PACKS.c.id)
    .where(PACKS.c.remaining > UNSPENT_FROM, PACKS.c.expires_at <= bindparam("now", type_=PACKS.c.expires_at.type))
    .order_by(PACKS.c.expires_at)
    .limit(bindparam("most"))
)
MOVES = (
    select(PACK_ENTRIES.c.pack_id, PACKS.c.kind, PACK_ENTRIES.c.amount)
    .join(PACKS, and_(PACKS.c.user_id == PACK_ENTRIES.c.user_id, PACKS.c.id == PACK_ENTRIES.c.pack_id))
    .where(PACK_ENTRIES.c.user_id == bindparam("user_id"), PACK_ENTRIES.c.journal_id == bindparam("journal_id"))
    .order_by(PACKS.c.expires_at, PACKS.c.id)
)
ADD = insert(PACKS).returning(PACKS.c.id)
NOTE = insert(PACK_ENTRIES)
OF_PACK = PACKS.c.user_id == bindparam("of_user"), PACKS.c.id == bindparam("of_pack")
MOVE = update(PACKS).where(*OF_PACK).values(remaining=PACKS.c.remaining + bindparam("by", type_=PACKS.c.remaining.type))
END = update(PACKS).where(*OF_PACK).values(expires_at=bindparam("at"))
MOVED = (
    select(PACK_ENTRIES.c.user_id, PACK_ENTRIES.c.pack_id, func.sum(PACK_ENTRIES.c.amount).label("amount"))
    .group_by(PACK_ENTRIES.c.user_id, PACK_ENTRIES.c.pack_id)
    .subquery()
)
DIFFERING = (
    select(PACKS.c.id)
    .outerjoin(MOVED, and_(MOVED.c.user_id == PACKS.c.user_id, MOVED.c.pack_id == PACKS.c.id))
    .where(PACKS.c.remaining != func.coalesce(MOVED.c.amount, cast(0, Integer)))
    .order_by(PACKS.c.id)
)
COUNT = select(func.count()).select_from(PACKS)
GRANTING = (EntryType.TOP_UP.value, EntryType.ROLLOVER.value, EntryType.PACK_TRANSFER.value)
"""The types of the rows that say what a pack is, and with whom."""
OF_PACKS = and_(PACK_ENTRIES.c.user_id == bindparam("user_id"), PACK_ENTRIES.c.pack_id == PACKS.c.id)
OF_ENTRIES = and_(JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.id == PACK_ENTRIES.c.journal_id)
GRANTS = (
    select(
        PACKS,
        JOURNAL.c.operation_key,
        JOURNAL.c.context,
        JOURNAL.c.v2_period_start,
        JOURNAL.c.v2_period_end,
    )
    .join(PACK_ENTRIES, OF_PACKS)
    .join(JOURNAL, OF_ENTRIES)
    .where(PACKS.c.user_id == bindparam("user_id"), JOURNAL.c.type.in_(GRANTING))
    .order_by(PACKS.c.id, JOURNAL.c.id)
    .with_for_update(of=PACKS)
)
TAKEN_BACK = (
    select(JOURNAL.c.actor, func.sum(-PACK_ENTRIES.c.amount).label("amount"))
    .join(PACK_ENTRIES, and_(PACK_ENTRIES.c.user_id == JOURNAL.c.user_id, PACK_ENTRIES.c.journal_id == JOURNAL.c.id))
    .where(
        PACK_ENTRIES.c.user_id == bindparam("user_id"),
        PACK_ENTRIES.c.pack_id == bindparam("pack_id"),
        JOURNAL.c.type == EntryType.PACK_REVOKE.value,
    )
    .group_by(JOURNAL.c.actor)
    .order_by(JOURNAL.c.actor)
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A pack, the key under which it was granted, and what the journal says of it: its end, plan and period."""

    pack: Pack
    key: str | None
    context: Mapping[str, Any]
    period: tuple[datetime | None, datetime | None]

    @property
    def until(self) -> datetime:
        """Return the end that it was granted with, which money given back may have moved since."""
        return datetime.fromisoformat(self.context["expiresAt"])


def usable(session: Session, user_id: str, now: datetime) -> tuple[Pack, ...]:
    """Return packs of a user that can be drawn on, the one that expires soonest first."""
    return tuple(map(pack_of, execute_core(session, USABLE, {"user_id": user_id, "now": now})))


def lock_usable(session: Session, user_id: str, now: datetime) -> tuple[Pack, ...]:
    """Lock and return the usable packs; the caller has locked the user's books before."""
    return tuple(map(pack_of, execute_core(session, LOCK_USABLE, {"user_id": user_id, "now": now})))


def owner(session: Session, pack_id: int) -> str | None:
    """Return the user whose pack a number is; None where there is none. This looks for it among all accounts."""
    user_id: str | None = execute_core(session, OWNER, {"pack_id": pack_id}).scalar_one_or_none()
    return user_id


def lock(session: Session, user_id: str, pack_id: int) -> Pack | None:
    """Return one pack, locked."""
    row = execute_core(session, LOCK, {"user_id": user_id, "pack_id": pack_id}).one_or_none()
    return None if row is None else pack_of(row)


def overdue(session: Session, now: datetime, *, most: int) -> list[tuple[str, int]]:
    """Return user and number of expired packs that still hold something, the longest expired first."""
    return [(row.user_id, row.id) for row in execute_core(session, OVERDUE, {"now": now, "most": most})]


def lock_grants(session: Session, user_id: str) -> list[Grant]:
    """Lock the packs of a user and return what each was granted as, without those that were moved to somebody else."""
    last = {row.id: row for row in execute_core(session, GRANTS, {"user_id": user_id})}
    grants = [
        Grant(pack_of(row), row.operation_key, row.context, (row.v2_period_start, row.v2_period_end))
        for row in last.values()
    ]
    # What leaves an account says nothing of its end.
    return [each for each in grants if "expiresAt" in each.context]


def taken_back(session: Session, pack: Pack) -> dict[str, int]:
    """Return how much of a pack each actor has revoked and not put back."""
    found = execute_core(session, TAKEN_BACK, {"user_id": pack.user_id, "pack_id": pack.id})
    return {row.actor: int(row.amount) for row in found}


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack to be stored; `merged_from` is the start of the period of another account that left it."""

    user_id: str
    kind: Kind
    amount: int
    bought_at: datetime
    expires_at: datetime
    merged_from: datetime | None = None


def add(session: Session, pack: NewPack) -> int:
    """Store a pack, empty until its first entry; returns its id."""
    pack_id: int = execute_core(session, ADD, {**asdict(pack), "remaining": 0}).scalar_one()
    return pack_id


def move(session: Session, user_id: str, journal_id: int, moves: Iterable[Allocation]) -> None:
    """Move packs of a user and note which journal row did so. The caller holds them or has just made them."""
    for each in moves:
        # Relative, never set: a pack may be moved by a refund and an operation one after the other.
        execute_core(session, MOVE, {"of_user": user_id, "of_pack": each.pack_id, "by": each.amount})
        entry = {"user_id": user_id, "journal_id": journal_id, "pack_id": each.pack_id, "amount": each.amount}
        execute_core(session, NOTE, entry)


def allocations_of(session: Session, user_id: str, journal_id: int) -> tuple[Allocation, ...]:
    """Return the allocations of a journal row, in their order."""
    return tuple(
        Allocation(row.pack_id, Kind(row.kind), row.amount)
        for row in execute_core(session, MOVES, {"user_id": user_id, "journal_id": journal_id})
    )


def end(session: Session, pack: Pack, at: datetime) -> None:
    """Let a pack expire at `at`."""
    execute_core(session, END, {"of_user": pack.user_id, "of_pack": pack.id, "at": at})


def differing(session: Session) -> tuple[int, tuple[int, ...]]:
    """Count the packs, and list those that do not hold the sum of their entries."""
    return execute_core(session, COUNT).scalar_one(), tuple(execute_core(session, DIFFERING).scalars())


def pack_of(row: ResultRow) -> Pack:
    """Return the pack in a row of their table."""
    moments = row.bought_at, row.expires_at, row.rolled_from or row.merged_from
    return Pack(row.id, row.user_id, Kind(row.kind), row.amount, row.remaining, *moments)
