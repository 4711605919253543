"""The tables of the flags: users, overrides by name, flags without a rollout, and the SDKs that ask for them."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Boolean, Double, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime


class DirectoryUser(Base):
    """A user of the product: the attributes that decide cohort and plan where the caller sends only an id."""

    __tablename__ = "directory_user"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    plan: Mapped[str] = mapped_column(Text)
    signed_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    beta: Mapped[bool] = mapped_column(Boolean, default=False)
    billing_anchor: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_directory_user_beta", "user_id", sqlite_where=beta, postgresql_where=beta),
        Index("ix_directory_user_updated_at", "updated_at"),
    )


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

    __table_args__ = (Index("ix_flag_override_expires_at", "expires_at"),)


class FlagDefinition(Base):
    """A flag without a rollout, as the Unleash feature that the SDKs of one environment are given."""

    __tablename__ = "flag_definition"

    environment: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    feature: Mapped[dict[str, object]] = mapped_column(JSON)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_by: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")


class FlagTag(Base):
    """A tag of a flag, as Unleash has them: `simple:checkout` is of the type `simple`."""

    __tablename__ = "flag_tag"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)

    __table_args__ = (Index("ix_flag_tag_value", "value", "type"),)


class FlagSegment(Base):
    """A segment that definitions of the same environment refer to."""

    __tablename__ = "flag_segment"

    environment: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    segment: Mapped[dict[str, object]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")


class ConnectedClient(Base):
    """One SDK instance, as it last made itself heard. `revision_id` is the one it was last given."""

    __tablename__ = "connected_client"

    connection_id: Mapped[str] = mapped_column(Text, primary_key=True)
    environment: Mapped[str] = mapped_column(Text)
    app_name: Mapped[str] = mapped_column(Text)
    instance_id: Mapped[str] = mapped_column(Text)
    sdk: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text)
    revision_id: Mapped[int] = mapped_column(BigInteger)
    connected_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_connected_client_seen_at", "seen_at"),)


class FlagUsage(Base):
    """A count of answers per application and hour of the epoch: `yes`, `no` or `variant:` and its name."""

    __tablename__ = "flag_usage"

    flag: Mapped[str] = mapped_column(Text, primary_key=True)
    environment: Mapped[str] = mapped_column(Text, primary_key=True)
    app_name: Mapped[str] = mapped_column(Text, primary_key=True)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    answer: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_flag_usage_hour", "hour"),)


class ImpactMetric(Base):
    """A measurement that services send with their SDK, added up; `part` is value, sum, count or `le:` and a bound."""

    __tablename__ = "impact_metric"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    environment: Mapped[str] = mapped_column(Text, primary_key=True)
    labels: Mapped[str] = mapped_column(Text, primary_key=True)
    part: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    value: Mapped[float] = mapped_column(Double)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
