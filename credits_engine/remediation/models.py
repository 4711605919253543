"""Reports on rollbacks: one per attempt, with one row per account."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.models import RowId
from credits_engine.amount_types import AmountsType
from credits_engine.engines.amounts import Amounts


class RollbackReport(Base):
    """The operations of v2 in the incident before a rollback, and the decision on the corrections."""

    __tablename__ = "credit_rollback_report"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    flag: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    cause: Mapped[str] = mapped_column(Text)
    rolled_back_at: Mapped[datetime] = mapped_column(UtcDateTime)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    users: Mapped[int] = mapped_column(BigInteger)
    operations: Mapped[int] = mapped_column(BigInteger)
    v2: Mapped[Amounts] = mapped_column(AmountsType)
    legacy: Mapped[Amounts] = mapped_column(AmountsType)
    books_checked: Mapped[int] = mapped_column(BigInteger)
    books_differing: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_credit_rollback_report_attempt", "flag", "attempt", unique=True),)


class RollbackAccount(Base):
    """One account whose answers differed during the incident. `owed` is proposed to be given back."""

    __tablename__ = "credit_rollback_account"

    report_id: Mapped[int] = mapped_column(RowId, ForeignKey("credit_rollback_report.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    operations: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    v2: Mapped[Amounts] = mapped_column(AmountsType)
    legacy: Mapped[Amounts] = mapped_column(AmountsType)
    owed: Mapped[Amounts] = mapped_column(AmountsType)
    state: Mapped[str] = mapped_column(Text)
    journal_id: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_credit_rollback_account_state", "report_id", "state"),)
