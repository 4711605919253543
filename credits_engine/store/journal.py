"""Journal rows and the keys that lead to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.amounts import NOTHING
from credits_engine.store.tables import JOURNAL, KEYS, insert_if_absent, inserted

COLUMNS = tuple(column.name for column in JOURNAL.columns if column.name != "id")
COUNTS = ("requested", "charged", "v2_posted", "legacy_posted")
BLANK: Mapping[str, Any] = {**dict.fromkeys(COLUMNS), **dict.fromkeys(COUNTS, NOTHING)}
APPEND = CompiledStatement(insert(JOURNAL).returning(JOURNAL.c.id))
FETCH = select(JOURNAL).where(JOURNAL.c.id == bindparam("journal_id"))
REMEMBER = insert_if_absent(KEYS)
REDIRECT = CompiledStatement(
    update(KEYS)
    .where(KEYS.c.user_id == bindparam("of_user"), KEYS.c.key == bindparam("of_key"))
    .values(journal_id=bindparam("to"))
)


def append(session: Session, columns: Mapping[str, Any]) -> int:
    """Write one journal row; columns not given stay empty, amounts not given are 0. Returns its id."""
    journal_id: int = APPEND.fetch_one(session, {**BLANK, **columns}).id
    return journal_id


def fetch(session: Session, journal_id: int) -> Mapping[str, Any]:
    """One journal row by column name."""
    return dict(execute_core(session, FETCH, {"journal_id": journal_id}).mappings().one())


def remember(session: Session, user_id: str, key: str, *, fingerprint: str, journal_id: int, now: datetime) -> bool:
    """Lead a new key to its journal row; False when another transaction took the key meanwhile."""
    row = {"user_id": user_id, "key": key, "fingerprint": fingerprint, "journal_id": journal_id, "created_at": now}
    return inserted(session, REMEMBER, row)


def redirect(session: Session, user_id: str, key: str, *, journal_id: int) -> None:
    """Lead a known key on to the row of its latest attempt."""
    REDIRECT.execute(session, {"of_user": user_id, "of_key": key, "to": journal_id})
