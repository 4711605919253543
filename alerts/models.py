"""The guard's memory: evidence and verdicts per flag and alert, what others told it, and what it told others."""

from datetime import datetime

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.models import RowId

# The delivery looks for nothing but these.
PENDING = text("state = 'pending'")


class AlertState(Base):
    """The state of one alert and flag since the attempt began; it survives restarts and changes of leader."""

    __tablename__ = "alert_state"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    alert: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(Text)
    seen: Mapped[dict[str, object]] = mapped_column(JSON)
    evidence: Mapped[dict[str, object]] = mapped_column(JSON)
    pairs: Mapped[dict[str, object] | None] = mapped_column(JSON)
    verdict: Mapped[dict[str, object] | None] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CohortState(Base):
    """The state of one alert within one cohort since the attempt began."""

    __tablename__ = "cohort_state"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    alert: Mapped[str] = mapped_column(Text, primary_key=True)
    dimension: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(Text)
    counts: Mapped[dict[str, object]] = mapped_column(JSON)
    evidence: Mapped[dict[str, object]] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReceivedAlert(Base):
    """One firing of one alert in Alertmanager, however often it was sent, and what it led to."""

    __tablename__ = "received_alert"

    fingerprint: Mapped[str] = mapped_column(Text, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    alert: Mapped[str] = mapped_column(Text)
    flag: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    annotations: Mapped[dict[str, str]] = mapped_column(JSON)
    action: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int | None] = mapped_column(Integer)
    deliveries: Mapped[int] = mapped_column(Integer)
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_received_alert_flag", "flag", "status"),)


class AlertOverride(Base):
    """For how long an alert may only notify, who decided that, and why."""

    __tablename__ = "alert_override"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    flag: Mapped[str] = mapped_column(Text)
    alert: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    actor: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_alert_override_flag", "flag", "expires_at"),)


class Notification(Base):
    """One thing people are told, written in the transaction in which it happened. `key` says what it is about."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    flag: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class NotificationDelivery(Base):
    """A notification on its way to one target, which is a digest: its address is a secret and stays in the settings."""

    __tablename__ = "notice_delivery"

    notification_id: Mapped[int] = mapped_column("notice_id", RowId, ForeignKey("notice.id"), primary_key=True)
    target: Mapped[str] = mapped_column(Text, primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_notice_delivery_pending", "next_try_at", sqlite_where=PENDING, postgresql_where=PENDING),
    )


class SignalBatch(Base):
    """A batch of signals that a service sent, so that sending it again counts nothing twice."""

    __tablename__ = "signal_batch"

    sender: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class SourceReading(Base):
    """The last result of an alert's query: totals to take differences from, or why there are none."""

    __tablename__ = "source_reading"

    alert: Mapped[str] = mapped_column(Text, primary_key=True)
    question: Mapped[str] = mapped_column(Text)
    bad: Mapped[float | None] = mapped_column(Float)
    total: Mapped[float | None] = mapped_column(Float)
    read_at: Mapped[datetime] = mapped_column(UtcDateTime)
    problem: Mapped[str | None] = mapped_column(Text)


class GuardDrill(Base):
    """A fault that was injected on purpose, and how long the guard took."""

    __tablename__ = "guard_drill"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    passed: Mapped[bool] = mapped_column(Boolean)
    milliseconds: Mapped[int | None] = mapped_column(Integer)
    report: Mapped[dict[str, object]] = mapped_column(JSON)
