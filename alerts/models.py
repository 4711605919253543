"""The guard's memory: per flag and alert the evidence of this attempt and the last verdict."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.database import Base, UtcDateTime


class AlertState(Base):
    """What one alert has seen of one flag since the attempt began; it survives restarts and changes of leader."""

    __tablename__ = "alert_state"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    alert: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(Text)
    seen: Mapped[dict[str, Any]] = mapped_column(JSON)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON)
    pairs: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
