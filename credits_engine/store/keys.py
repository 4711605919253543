"""Find keys that don't lead to the row that answers them: a retry under such a key would be charged again."""

from sqlalchemy import bindparam, exists, or_, select, text, union
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, is_postgresql
from credits_engine.engines.decisions import Outcome
from credits_engine.store.guard_queries import OPERATIONS
from credits_engine.store.tables import JOURNAL, KEYS

COMPARING_SECONDS = 600
LEADING_ASTRAY = (
    select(KEYS.c.user_id, KEYS.c.key)
    .outerjoin(JOURNAL, JOURNAL.c.id == KEYS.c.journal_id)
    .where(or_(JOURNAL.c.id.is_(None), JOURNAL.c.user_id != KEYS.c.user_id, JOURNAL.c.operation_key != KEYS.c.key))
)
FORGOTTEN = select(JOURNAL.c.user_id, JOURNAL.c.operation_key).where(
    JOURNAL.c.operation_key.is_not(None),
    JOURNAL.c.type.in_(OPERATIONS),
    JOURNAL.c.outcome == Outcome.ALLOWED.value,
    ~exists().where(KEYS.c.user_id == JOURNAL.c.user_id, KEYS.c.key == JOURNAL.c.operation_key),
)
ASTRAY = union(LEADING_ASTRAY, FORGOTTEN).order_by("user_id", "key").limit(bindparam("most"))


def find_orphans(session: Session, *, most: int) -> tuple[tuple[str, str], ...]:
    """User and key wherever a key leads to no row of its own, or an operation that was granted has lost its key."""
    if is_postgresql(session):
        execute_core(session, text(f"SET LOCAL statement_timeout = '{COMPARING_SECONDS}s'"))
    return tuple((row.user_id, row.key) for row in execute_core(session, ASTRAY, {"most": most}))
