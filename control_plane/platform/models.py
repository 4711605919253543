"""The platform's tables: audit trail, change feed, signal counters and leases."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime

# SQLite numbers rows by itself only in a column that is exactly INTEGER PRIMARY KEY.
RowId = BigInteger().with_variant(Integer, "sqlite")


class AuditEntryRow(Base):
    """One audited change. Append-only: each hash covers the one before it."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text, index=True)
    before: Mapped[dict[str, object] | None] = mapped_column(JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
    erasure: Mapped[str | None] = mapped_column(Text)
    """The pseudonym that took a person's place in it; the hash is that of what was written first."""

    __table_args__ = (
        Index("ix_audit_entry_at", "at", "id"),
        *(Index(f"ix_audit_entry_{column}_at", column, "at", "id") for column in ("actor", "subject", "action")),
    )


class ErasureRow(Base):
    """A person who was erased: a keyed digest of who they were, and the pseudonym that stands for them."""

    __tablename__ = "erasure"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    digest: Mapped[str] = mapped_column(Text, index=True)
    pseudonym: Mapped[str] = mapped_column(Text, unique=True)
    erased_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class AuditHeadRow(Base):
    """The end of the audit trail: one row, sealed with a key that is not in the database."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entries: Mapped[int] = mapped_column(BigInteger)
    last_id: Mapped[int] = mapped_column(BigInteger)
    last_hash: Mapped[str] = mapped_column(Text)
    sealed_from: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[str] = mapped_column(Text)


class AuditCheck(Base):
    """The outcome of the last check of the whole trail: one row, for pages. Whoever doubts it checks again."""

    __tablename__ = "audit_check"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    checked: Mapped[int] = mapped_column(BigInteger)
    first_broken: Mapped[int | None] = mapped_column(BigInteger)
    problem: Mapped[str] = mapped_column(Text)


class ChangeRow(Base):
    """One announced change. The newest id is the revision that every process and stream follows."""

    __tablename__ = "change"
    __table_args__ = (Index("ix_change_topic", "topic", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    topic: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class SignalTotal(Base):
    """The counts of a signal since the beginning."""

    __tablename__ = "signal_total"

    signal: Mapped[str] = mapped_column(Text, primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    bad: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)


class SignalMinute(Base):
    """The counts of a signal per minute of the epoch, for window rates and charts; stored for 90 days."""

    __tablename__ = "signal_minute"

    signal: Mapped[str] = mapped_column(Text, primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bad: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_signal_minute_minute", "minute"),)


class SignalSlice(Base):
    """The counts of a signal per ten seconds of the epoch, for windows that begin within a minute; stored an hour."""

    __tablename__ = "signal_slice"

    signal: Mapped[str] = mapped_column(Text, primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    slice: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bad: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_signal_slice_slice", "slice"),)


class SignalAccount(Base):
    """Hashes of the accounts that failed in an hour, and how many of their failures count; of some, all accounts."""

    __tablename__ = "signal_account"

    signal: Mapped[str] = mapped_column(Text, primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    window: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    bad: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_signal_account_window", "window"),)


class SignalCohort(Base):
    """The counts of a signal within a cohort since the beginning; those of accounts for a day after their last."""

    __tablename__ = "signal_cohort"

    signal: Mapped[str] = mapped_column(Text, primary_key=True)
    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    dimension: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    bad: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)
    accounts: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)


class LeaseRow(Base):
    """A lease and its holder. `term` grows with each new holder and fences off the one before."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    term: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
