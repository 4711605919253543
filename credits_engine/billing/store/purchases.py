"""Packs as billing looks for them: by the purchase, and by what was taken back already."""

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.packs import Pack
from credits_engine.engines.receipts import EntryType
from credits_engine.store import packs
from credits_engine.store.tables import JOURNAL, KEYS, PACK_ENTRIES

BOUGHT = (
    select(PACK_ENTRIES.c.pack_id)
    .join(KEYS, KEYS.c.journal_id == PACK_ENTRIES.c.journal_id)
    .where(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key"), PACK_ENTRIES.c.amount > 0)
)
TAKEN_BACK = (
    select(func.coalesce(func.sum(-PACK_ENTRIES.c.amount), 0))
    .join(JOURNAL, JOURNAL.c.id == PACK_ENTRIES.c.journal_id)
    .where(PACK_ENTRIES.c.pack_id == bindparam("pack_id"), JOURNAL.c.type == EntryType.PACK_REVOKE.value)
)


def lock_packs(session: Session, user_id: str, key: str) -> Pack | None:
    """The pack that was granted under a key, locked; None before."""
    pack_id = execute_core(session, BOUGHT, {"user_id": user_id, "key": key}).scalar_one_or_none()
    return None if pack_id is None else packs.lock(session, pack_id)


def revoked(session: Session, pack_id: int) -> int:
    """Return the number of credits revoked from a pack by refunds."""
    return int(execute_core(session, TAKEN_BACK, {"pack_id": pack_id}).scalar_one())
