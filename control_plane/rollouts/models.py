"""The tables of the rollout: one row per flag with a phase plan, and every plan that it has had."""

from datetime import datetime

from sqlalchemy import JSON, Boolean, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime


class RolloutRow(Base):
    """A rollout as stored; `store.py` turns it into the pure `Rollout`."""

    __tablename__ = "rollout"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    plan: Mapped[dict[str, object]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(Integer)
    attempt: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Text)
    phase: Mapped[int] = mapped_column(Integer)
    step: Mapped[int] = mapped_column(Integer)
    entered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_reason: Mapped[str] = mapped_column(Text)
    held_by_guard: Mapped[bool] = mapped_column(Boolean)
    plan_version: Mapped[int] = mapped_column(Integer)
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stepped_back_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    latches_all: Mapped[bool] = mapped_column(Boolean)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PlanVersionRow(Base):
    """A plan as it was from one change to the next: who made it, when and why."""

    __tablename__ = "rollout_plan_version"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    plan: Mapped[dict[str, object]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class AnyApprovalRow(Base):
    """Who approves something while the rollout has this plan and stands in the step that it entered at this moment."""

    __abstract__ = True

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    plan_version: Mapped[int] = mapped_column(Integer, primary_key=True)
    entered_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    actor: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApprovalRow(AnyApprovalRow):
    """An approval of the advance from that step."""

    __tablename__ = "rollout_approval"


class PlanApprovalRow(AnyApprovalRow):
    """An approval of what takes approvals of the plan away: another plan that asks for fewer, or none."""

    __tablename__ = "rollout_plan_approval"


class HttpCheckRow(Base):
    """What the address of a check answered last."""

    __tablename__ = "rollout_http_check"

    url: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[int] = mapped_column(Integer, primary_key=True)
    passed: Mapped[bool] = mapped_column(Boolean)
    sentence: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
