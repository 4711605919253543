"""The tables of the rollout: one row per flag with a phase plan."""

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
