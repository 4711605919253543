"""The tables of the catalogue as data: kinds, and versions of plans; rows are only ever added."""

from datetime import datetime

from sqlalchemy import JSON, Boolean, Integer, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.models import RowId


class CreditKindRow(Base):
    """The place of a kind in every stored amount. The catalogue has the same kinds in the same order."""

    __tablename__ = "credit_kind"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(Integer, unique=True)


class CreditPlanVersion(Base):
    """What a plan grants of each kind from a moment on; rows are only ever added."""

    __tablename__ = "credit_plan_version"
    __table_args__ = (UniqueConstraint("plan", "starts_at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    plan: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    above: Mapped[str | None] = mapped_column(Text)
    limits: Mapped[dict[str, object]] = mapped_column(JSON)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(Text)
    grace_days: Mapped[int | None] = mapped_column(Integer)
    per_seat: Mapped[bool] = mapped_column(Boolean, default=False)
    rollovers: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))


class AddedCreditKind(Base):
    """A kind of credits that came as data, and what each plan grants of it; rows are only ever added."""

    __tablename__ = "credit_added_kind"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    limits: Mapped[dict[str, object]] = mapped_column(JSON)
    packs: Mapped[list[int]] = mapped_column(JSON)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(Text)
