"""The tables of the checklists."""

from datetime import datetime

from sqlalchemy import Boolean, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime


class ChecklistSignature(Base):
    """Who said that an item is done. `attempt` is 0 where the signature holds for every attempt."""

    __tablename__ = "checklist_signature"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    phase: Mapped[str] = mapped_column(Text, primary_key=True)
    checklist: Mapped[str] = mapped_column(Text, primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    actor: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text)
    link: Mapped[str] = mapped_column(Text)


class ChecklistResult(Base):
    """The last answer of each check that a plan names."""

    __tablename__ = "checklist_result"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    check: Mapped[str] = mapped_column(Text, primary_key=True)
    passed: Mapped[bool | None] = mapped_column(Boolean)
    sentence: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime] = mapped_column(UtcDateTime)
