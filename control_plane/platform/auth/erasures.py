"""Who was erased, as rows: a keyed digest of a user's id, and the pseudonym that stands for them since."""

import hmac
import secrets
from typing import cast

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.models import ErasureRow
from control_plane.platform.settings import current

ERASURES = cast(Table, ErasureRow.__table__)
PURPOSE = b"erasure"
PREFIX = "erased-"


def digest(user_id: str, secret: str = "") -> str:
    """Return what tells that an id is an erased one, to whoever has SECRET_KEY and the id."""
    key = hmac.digest((secret or current().signing_key).encode(), PURPOSE, "sha256")
    return hmac.new(key, user_id.encode(), "sha256").hexdigest()


def digests(user_id: str) -> list[str]:
    """Return the same by every secret that is or was in force."""
    return [digest(user_id, secret) for secret in current().secret_keys]


def add(session: Session, user_id: str, change: ChangeContext) -> str:
    """Note that a user is being erased; returns their pseudonym, which is of chance and never given twice."""
    pseudonym = f"{PREFIX}{secrets.token_hex(12)}"
    put_back(session, digest(user_id), pseudonym, change)
    return pseudonym


def put_back(session: Session, of_digest: str, pseudonym: str, change: ChangeContext) -> None:
    """Write a row of an erasure, as it was made in a database that is gone; `change` is the one of that time."""
    row = {
        "digest": of_digest,
        "pseudonym": pseudonym,
        "erased_at": change.now,
        "actor": change.actor,
        "reason": change.reason,
    }
    session.execute(insert(ERASURES).values(**row))


def every(session: Session) -> list[ErasureRow]:
    """Return each erasure, oldest first."""
    return list(session.scalars(select(ErasureRow).order_by(ErasureRow.id)))


def latest(session: Session, *, limit: int) -> list[ErasureRow]:
    """Return the last erasures, newest first."""
    return list(session.scalars(select(ErasureRow).order_by(ErasureRow.id.desc()).limit(limit)))


def current_name(session: Session, user_id: str) -> str:
    """Return the newest pseudonym of somebody who was erased, else the id itself."""
    query = (
        select(ErasureRow.pseudonym)
        .where(ErasureRow.digest.in_(digests(user_id)))
        .order_by(ErasureRow.id.desc())
        .limit(1)
    )
    return session.scalar(query) or user_id


def is_pseudonym(session: Session, user_id: str) -> bool:
    """Return whether an id stands for somebody who was erased."""
    return (
        user_id.startswith(PREFIX)
        and session.scalar(select(ErasureRow.id).where(ErasureRow.pseudonym == user_id)) is not None
    )
