"""Accounts, idempotency keys, and freezes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, literal_column, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import rowcount_of
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.decisions import Outcome
from credits_engine.store.tables import (
    BILLING,
    FREEZES,
    JOURNAL,
    KEYS,
    PACKS,
    RETIREMENT,
    USERS,
    ResultRow,
    insert_if_absent,
    inserted,
)

EVERYBODY = "*"
# As written in the partial index, which is used for nothing else.
UNSPENT_FROM: ColumnElement[int] = literal_column("0")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the product as the directory knows it; `frozen` says why it may not consume, if so.

    `due_at` is when the clock changes something about a user with a subscription; None for the others. `has_packs` is
    true where a pack that was bought still holds something, expired or not; `legacy_retired` where legacy is not asked
    any more beside v2, for anybody. `routing` is the revision of the flags and the end of the guard's lease as read
    along with the locked books, where they were; None where that is still to be read.
    """

    user_id: str
    plan: str
    signed_up_at: datetime | None
    beta: bool
    billing_anchor: datetime | None
    frozen: str | None
    due_at: datetime | None = None
    has_packs: bool = False
    legacy_retired: bool = False
    routing: tuple[int, datetime | None] | None = None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The request made under a key before, and the journal row that answered it last."""

    fingerprint: str
    journal_id: int
    outcome: Outcome | None
    uncharged: bool = False

    @property
    def is_final(self) -> bool:
        """True if a retry gets this answer again: an error that was not let through charged nothing and is retried."""
        return self.outcome is not Outcome.ERROR or self.uncharged


KEY_COLUMNS = (
    KEYS.c.fingerprint,
    KEYS.c.journal_id,
    JOURNAL.c.outcome.label("key_outcome"),
    JOURNAL.c.context.label("key_context"),
)
OF_KEY = and_(JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.id == KEYS.c.journal_id)
"""The journal row to which a key of the account leads. The account is named as the parameter in every join: several
databases see by nothing else that a statement is of one of them."""
ACCOUNT_COLUMNS: tuple[ColumnElement[Any], ...] = (
    USERS.c.user_id,
    USERS.c.plan,
    USERS.c.signed_up_at,
    USERS.c.beta,
    USERS.c.billing_anchor,
    func.coalesce(FREEZES.c.reason, BILLING.c.blocked).label("frozen"),
    BILLING.c.due_at,
    exists().where(PACKS.c.user_id == bindparam("user_id"), PACKS.c.remaining > UNSPENT_FROM).label("has_packs"),
    exists().select_from(RETIREMENT).label("legacy_retired"),
)
ACCOUNT = (
    select(*ACCOUNT_COLUMNS)
    .select_from(USERS)
    .outerjoin(FREEZES, FREEZES.c.user_id.in_([bindparam("user_id"), EVERYBODY]))
    .outerjoin(BILLING, BILLING.c.user_id == bindparam("user_id"))
    .where(USERS.c.user_id == bindparam("user_id"))
    .limit(1)
)
FIND = CompiledStatement(
    ACCOUNT.add_columns(*KEY_COLUMNS)
    .outerjoin(KEYS, and_(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key")))
    .outerjoin(JOURNAL, OF_KEY)
)


FREEZE = insert_if_absent(FREEZES)


def find(session: Session, user_id: str, *, key: str = "") -> tuple[Account, KnownKey | None] | None:
    """Return the account and what is known of `key`, without any lock; None when the directory lacks the user."""
    row = FIND.fetch_one(session, {"user_id": user_id, "key": key})
    return None if row is None else (account_of(row), known_key(row))


def account_of(row: ResultRow) -> Account:
    """Return the account in a row that selected ACCOUNT_COLUMNS."""
    return Account(
        row.user_id,
        row.plan,
        row.signed_up_at,
        row.beta,
        row.billing_anchor,
        row.frozen,
        row.due_at,
        bool(row.has_packs),
        bool(row.legacy_retired),
    )


def refreshed(session: Session, account: Account) -> Account:
    """Return the account as the database has it by now; the one given when the directory has lost it since."""
    found = find(session, account.user_id)
    return found[0] if found else account


def known_key(row: ResultRow) -> KnownKey | None:
    """Return the key in a row that selected KEY_COLUMNS."""
    if not row.fingerprint:
        return None
    uncharged = bool((row.key_context or {}).get("uncharged"))
    outcome = Outcome(row.key_outcome) if row.key_outcome else None
    return KnownKey(row.fingerprint, row.journal_id, outcome, uncharged)


def freeze(session: Session, user_id: str, *, now: datetime, actor: str, reason: str) -> bool:
    """Note that this user, or `*` for everybody, may not consume; False when that stands already."""
    row = {"user_id": user_id, "frozen_at": now, "actor": actor, "reason": reason}
    return inserted(session, FREEZE, row)


def unfreeze(session: Session, user_id: str) -> bool:
    """Take that back; False when there was nothing to take back."""
    return rowcount_of(session, delete(FREEZES).where(FREEZES.c.user_id == user_id)) == 1


def freezes(session: Session) -> list[dict[str, object]]:
    """List the users who may not consume, since when and why."""
    return [dict(row) for row in session.execute(select(FREEZES).order_by(FREEZES.c.user_id)).mappings()]


def frozen_because(session: Session, user_id: str) -> str | None:
    """Return why exactly this user, or `*`, is frozen; None when it is not."""
    return session.scalar(select(FREEZES.c.reason).where(FREEZES.c.user_id == user_id))
