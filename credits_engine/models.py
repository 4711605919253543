"""The tables of the credits: two books, the journal that both are projections of, and the keys of operations.

Keys begin with the account, by which rows can be spread over several databases. SQLite numbers rows in no key but the
number alone, so there `id` is the key of the tables that have one, and an index whose `info` names a dialect is missing
on the other.
"""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, PrimaryKeyConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.models import RowId
from credits_engine.amount_types import AmountsType, LimitsType
from credits_engine.engines.amounts import Amounts, Limits

# Triage reads what differs; matches would fill the index and are never looked up in it.
DIFFERING = text("variance <> 'match'")
# Expiry looks for nothing but these.
PENDING = text("state = 'pending'")
# Whoever has spent their packs pays nothing for having had them.
UNSPENT = text("remaining > 0")
ROLLED_OVER = text("rolled_from IS NOT NULL")
LIMIT_CHANGES = text("type = 'limit_change'")
# Counters are updated in place all day: room in the page lets PostgreSQL do so without touching an index.
ROOMY = {"postgresql_with": {"fillfactor": 70}}


def _never_negative(column: str, name: str) -> tuple[CheckConstraint, CheckConstraint]:
    conditions = {"postgresql": f"0 <= ALL ({column})", "sqlite": f"{column} NOT LIKE '%-%'"}
    postgresql, sqlite = (CheckConstraint(check, name=name).ddl_if(dialect) for dialect, check in conditions.items())
    return postgresql, sqlite


class LegacyBook(Base):
    """The legacy engine's pools: one row per user and UTC calendar month."""

    __tablename__ = "legacy_book"
    __table_args__ = (*_never_negative("used", "ck_legacy_book_used"), ROOMY)

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    month_start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    used: Mapped[Amounts] = mapped_column(AmountsType)


class UsageCounters(Base):
    """v2's counters: one row per user and billing period, with the limits in force. A null limit is unlimited."""

    __tablename__ = "usage_counters"
    __table_args__ = (
        *_never_negative("used", "ck_usage_counters_used"),
        *_never_negative("limits", "ck_usage_counters_limit"),
        CheckConstraint("period_end > period_start", name="ck_usage_counters_period"),
        ROOMY,
    )

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    period_start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    period_end: Mapped[datetime] = mapped_column(UtcDateTime)
    plan: Mapped[str] = mapped_column(Text)
    used: Mapped[Amounts] = mapped_column(AmountsType)
    limits: Mapped[Limits] = mapped_column(LimitsType)


class JournalEntry(Base):
    """One row per operation or correction, never changed and never deleted; triggers see to that.

    The columns of each engine hold its answer and what that was based on. An outcome is null where the engine was not
    asked, used and limits are the book's where it failed. `…_posted_…` is what the row added to that engine's book.
    """

    __tablename__ = "credit_journal"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        Index("ix_credit_journal_user", "user_id", "id", info={"dialect": "sqlite"}),
        Index("ix_credit_journal_id", "id", info={"dialect": "postgresql"}),
        Index("ix_credit_journal_occurred", "occurred_at"),
        Index("ix_credit_journal_differing", "id", sqlite_where=DIFFERING, postgresql_where=DIFFERING),
        Index("ix_credit_journal_variance", "variance", "id", sqlite_where=DIFFERING, postgresql_where=DIFFERING),
        Index(
            "ix_credit_journal_limit_change",
            "user_id",
            "v2_period_start",
            sqlite_where=LIMIT_CHANGES,
            postgresql_where=LIMIT_CHANGES,
        ),
    )

    id: Mapped[int] = mapped_column(RowId, autoincrement=True)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    operation_key: Mapped[str | None] = mapped_column(Text)
    requested: Mapped[Amounts] = mapped_column(AmountsType)
    charged: Mapped[Amounts] = mapped_column(AmountsType)
    served_engine: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    shadow_reason: Mapped[str | None] = mapped_column(Text)
    flag_revision: Mapped[int | None] = mapped_column(BigInteger)
    evaluation_reason: Mapped[str | None] = mapped_column(Text)
    variance: Mapped[str | None] = mapped_column(Text)
    cause: Mapped[str | None] = mapped_column(Text)
    retry_of: Mapped[int | None] = mapped_column(BigInteger)
    corrects: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Text)
    context: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))

    v2_period_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    v2_period_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    v2_posted: Mapped[Amounts] = mapped_column(AmountsType)
    v2_outcome: Mapped[str | None] = mapped_column(Text)
    v2_charged: Mapped[Amounts | None] = mapped_column(AmountsType)
    v2_used: Mapped[Amounts | None] = mapped_column(AmountsType)
    v2_limit: Mapped[Limits | None] = mapped_column(LimitsType)
    v2_us: Mapped[int | None] = mapped_column(BigInteger)

    legacy_period_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    legacy_period_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    legacy_posted: Mapped[Amounts] = mapped_column(AmountsType)
    legacy_outcome: Mapped[str | None] = mapped_column(Text)
    legacy_charged: Mapped[Amounts | None] = mapped_column(AmountsType)
    legacy_used: Mapped[Amounts | None] = mapped_column(AmountsType)
    legacy_limit: Mapped[Limits | None] = mapped_column(LimitsType)
    legacy_us: Mapped[int | None] = mapped_column(BigInteger)


class OperationKey(Base):
    """A caller's idempotency key, what was asked under it, and the journal row that answers it."""

    __tablename__ = "operation_key"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    journal_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_operation_key_created", "created_at"),)


class CreditFreeze(Base):
    """A user who may not consume, and why. The user id `*` stands for everybody."""

    __tablename__ = "credit_freeze"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    frozen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class Reservation(Base):
    """Credits held under a key: charged to both books already, and given back in part or whole when it is finalized."""

    __tablename__ = "credit_reservation"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'committed', 'released', 'expired')", name="ck_reservation_state"),
        Index("ix_credit_reservation_pending", "expires_at", sqlite_where=PENDING, postgresql_where=PENDING),
    )

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    journal_id: Mapped[int] = mapped_column(BigInteger)
    finalized_by: Mapped[int | None] = mapped_column("settled_by", BigInteger)
    engine: Mapped[str] = mapped_column(Text)
    amounts: Mapped[Amounts] = mapped_column(AmountsType)
    committed: Mapped[Amounts] = mapped_column(AmountsType)
    v2_period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    legacy_period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    reserved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Pack(Base):
    """Credits of one kind besides the plan, bought or rolled over; `remaining` is what its entries add up to."""

    __tablename__ = "credit_pack"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        Index("ix_credit_pack_id", "id", info={"dialect": "postgresql"}),
        CheckConstraint("amount > 0 AND remaining >= 0 AND remaining <= amount", name="ck_credit_pack_remaining"),
        Index("ix_credit_pack_user", "user_id", "expires_at", sqlite_where=UNSPENT, postgresql_where=UNSPENT),
        Index("ix_credit_pack_expires", "expires_at", sqlite_where=UNSPENT, postgresql_where=UNSPENT),
        Index(
            "ix_credit_pack_rolled_from",
            "user_id",
            "rolled_from",
            "kind",
            unique=True,
            sqlite_where=ROLLED_OVER,
            postgresql_where=ROLLED_OVER,
        ),
    )

    id: Mapped[int] = mapped_column(RowId, autoincrement=True)
    user_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[int] = mapped_column(BigInteger)
    bought_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rolled_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The start of the period that left these credits unused; None of what was bought."""
    merged_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The same where that was a period of another account, which was merged into this one."""


class PackEntry(Base):
    """By how much a journal row moved a pack; written with that row and never changed."""

    __tablename__ = "credit_pack_entry"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "journal_id", "pack_id"),
        Index("ix_credit_pack_entry_pack", "pack_id"),
    )

    journal_id: Mapped[int] = mapped_column(BigInteger, autoincrement=False)
    pack_id: Mapped[int] = mapped_column(BigInteger, autoincrement=False)
    amount: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(Text)


class Retirement(Base):
    """That legacy is not asked any more beside v2; one row, or none. Its book is kept to the last operation."""

    __tablename__ = "credit_retirement"
    __table_args__ = (CheckConstraint("id = 1", name="ck_credit_retirement_once"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    retired_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    archive: Mapped[str | None] = mapped_column(Text)


class ReconciliationRun(Base):
    """One comparison of both books with the journal: why it ran, how many book rows it checked, how many differed."""

    __tablename__ = "credit_reconciliation"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    cause: Mapped[str] = mapped_column(Text)
    checked: Mapped[int] = mapped_column(BigInteger)
    found: Mapped[int] = mapped_column(BigInteger)


class AdvanceCheckRun(Base):
    """The result of examining the step that follows a rollout's version: the users refused, the differences."""

    __tablename__ = "credit_readiness"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    flag: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(BigInteger)
    users: Mapped[int] = mapped_column(BigInteger)
    entering: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    operations: Mapped[int] = mapped_column(BigInteger)
    mismatches: Mapped[int] = mapped_column(BigInteger)
    unlike: Mapped[int] = mapped_column(BigInteger)


class BillingAccount(Base):
    """A user's entitlement, and when the clock alone will change it. Its row is the user's lock.

    Billing writes it; every operation reads `blocked` and `due_at` beside the user.
    """

    __tablename__ = "billing_account"
    __table_args__ = (Index("ix_billing_account_due", "due_at"),)

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    original_plan: Mapped[str] = mapped_column(Text)
    subscription_id: Mapped[str | None] = mapped_column(Text)
    service_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    service_end: Mapped[datetime | None] = mapped_column(UtcDateTime)
    blocked: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
