"""The tables of people and tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.identity_types import Role, TokenType
from control_plane.platform.models import RowId


class PersonRow(Base):
    """A person. The username is stored in lower case; the hash is Argon2id's own text, empty where there is none.

    `role` counts everywhere, `grants` in places. `totp_step` is the last one used, so that no code counts twice.
    """

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    username: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    session_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    grants: Mapped[list[dict[str, str]]] = mapped_column(JSON, server_default="[]")
    totp_secret: Mapped[str | None] = mapped_column(Text)
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    recovery_codes: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    identity: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    passkeys: Mapped[list[dict[str, Any]]] = mapped_column(JSON, server_default="[]")

    __table_args__ = (
        Index("ix_person_identity", "identity", unique=True),
        CheckConstraint(f"role IN ({', '.join(map(repr, map(str, Role)))})", name="ck_person_role"),
    )


class PersonSessionRow(Base):
    """A session of a person, from signing in to signing out; its cookie is worth nothing without this row.

    `version` is the person's at which the session counts, `browser` what the browser says of itself.
    """

    __tablename__ = "person_session"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(RowId, ForeignKey("person.id"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    address: Mapped[str] = mapped_column(Text, server_default="")
    browser: Mapped[str] = mapped_column(Text, server_default="")
    version: Mapped[int] = mapped_column(server_default="0")


class SignInFailureRow(Base):
    """The failures to sign in of one minute, by what they count against: an account or a network."""

    __tablename__ = "sign_in_failure"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_sign_in_failure_minute", "minute"),)


class ApiTokenRow(Base):
    """A token: found by its public selector, proved by the digest of its whole text."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    environment: Mapped[str] = mapped_column(Text)
    selector: Mapped[str] = mapped_column(Text, unique=True)
    digest: Mapped[str] = mapped_column(Text)
    trusted_attributes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(Text)
    role: Mapped[str | None] = mapped_column(Text)
    flags: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    projects: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint(f"type IN ({', '.join(map(repr, map(str, TokenType)))})", name="ck_api_token_type"),
    )
