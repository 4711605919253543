"""The tables of the flags: what we know of the product's users, and who is let in or kept out by name."""

from datetime import datetime

from sqlalchemy import Boolean, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.database import Base, UtcDateTime


class DirectoryUser(Base):
    """A user of the product: the attributes that decide cohort and plan where the caller sends only an id."""

    __tablename__ = "directory_user"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    plan: Mapped[str] = mapped_column(Text)
    signed_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    beta: Mapped[bool] = mapped_column(Boolean, default=False)
    billing_anchor: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_directory_user_beta", "user_id", sqlite_where=beta, postgresql_where=beta),)


class FlagOverride(Base):
    """One user let in (`allow`) or kept out (`deny`) by name; deny wins where both stand."""

    __tablename__ = "flag_override"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    effect: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
