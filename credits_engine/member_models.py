"""The tables of organisations: who spends from whose account, and how much of it was theirs."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index, PrimaryKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from credits_engine.amount_types import AmountsType
from credits_engine.engines.amounts import Amounts


class CreditMember(Base):
    """A user who spends from an organisation's account between two moments, and how much of a kind in a period."""

    __tablename__ = "credit_member"
    __table_args__ = (Index("ix_credit_member_account", "account_user_id"),)

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    account_user_id: Mapped[str] = mapped_column(Text)
    limits: Mapped[dict[str, int]] = mapped_column(JSON)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(Text)
    former_accounts: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    """Other accounts that they were a member of before."""


class MemberEntry(Base):
    """How much a journal row took for a member, or gave back, and the period of the account in which that counts."""

    __tablename__ = "credit_member_entry"
    __table_args__ = (
        PrimaryKeyConstraint("account_user_id", "journal_id"),
        Index("ix_credit_member_entry", "account_user_id", "user_id", "period_start"),
    )

    journal_id: Mapped[int] = mapped_column(BigInteger, autoincrement=False)
    account_user_id: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str] = mapped_column(Text)
    period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    amounts: Mapped[Amounts] = mapped_column(AmountsType)
