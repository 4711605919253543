"""Let users in or keep them out by name."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import dialect_insert, rowcount_of
from control_plane.platform.db.fastpath import CompiledStatement
from flags.evaluation.rollout_flag import Override
from flags.models import FlagOverride

EXPIRED = CompiledStatement(
    select(FlagOverride.__table__)
    .where(FlagOverride.expires_at <= bindparam("now", type_=FlagOverride.expires_at.type))
    .order_by(FlagOverride.flag, FlagOverride.user_id)
)


class Effect(StrEnum):
    """The effect of an override on its user."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """An override as it is kept, with who asked for it."""

    flag: str
    user_id: str
    effect: Effect
    reason: str
    actor: str
    created_at: datetime
    expires_at: datetime | None


def overrides(session: Session, flag: str, effect: Effect) -> dict[str, Override]:
    """Return the users `flag` treats by name, the earliest first, including those whose override has expired."""
    rows = session.execute(
        select(FlagOverride.user_id, FlagOverride.reason, FlagOverride.expires_at)
        .where(FlagOverride.flag == flag, FlagOverride.effect == effect)
        .order_by(FlagOverride.created_at, FlagOverride.user_id)
    )
    return {user_id: Override(reason, expires_at) for user_id, reason, expires_at in rows}


def overrides_by_flag(session: Session) -> dict[tuple[str, Effect], dict[str, Override]]:
    """Return the active overrides of every flag, in one query."""
    columns = FlagOverride.flag, FlagOverride.effect, FlagOverride.user_id, FlagOverride.reason, FlagOverride.expires_at
    found: dict[tuple[str, Effect], dict[str, Override]] = {}
    for flag, effect, user_id, reason, expires_at in session.execute(
        select(*columns).order_by(FlagOverride.created_at, FlagOverride.user_id)
    ):
        found.setdefault((flag, Effect(effect)), {})[user_id] = Override(reason, expires_at)
    return found


def count_overrides(session: Session, flag: str, now: datetime, effect: Effect | None = None) -> int:
    """Count the users whom `flag` treats by name at `now`, all or those of one effect."""
    lasting = FlagOverride.expires_at.is_(None) | (FlagOverride.expires_at > now)
    query = select(func.count()).select_from(FlagOverride).where(FlagOverride.flag == flag, lasting)
    return session.scalar(query.where(FlagOverride.effect == effect.value) if effect else query) or 0


def list_overrides(session: Session, flag: str, *, after: str = "", limit: int | None = None) -> list[StoredOverride]:
    """Return the overrides of `flag` by user, of those `after` a user at most so many."""
    query = select(FlagOverride).where(FlagOverride.flag == flag).order_by(FlagOverride.user_id, FlagOverride.effect)
    if after:
        query = query.where(FlagOverride.user_id > after)
    query = query.limit(limit)
    return [_stored(row) for row in session.scalars(query.execution_options(populate_existing=True))]


def every_override(session: Session) -> list[StoredOverride]:
    """Return every override of every flag."""
    query = select(FlagOverride).order_by(FlagOverride.flag, FlagOverride.user_id, FlagOverride.effect)
    return [_stored(row) for row in session.scalars(query.execution_options(populate_existing=True))]


def find_override(session: Session, flag: str, user_id: str, effect: Effect) -> StoredOverride | None:
    """Return one override as it is kept."""
    row = session.get(FlagOverride, (flag, user_id, effect.value), populate_existing=True)
    return _stored(row) if row else None


def expired_overrides(session: Session, now: datetime) -> list[StoredOverride]:
    """Return overrides that have ended by `now` and are still kept, of every flag."""
    return [_stored(row) for row in EXPIRED.fetch_all(session, {"now": now})]


def put_override(
    session: Session,
    flag: str,
    user_id: str,
    effect: Effect,
    change: ChangeContext,
    *,
    expires_at: datetime | None = None,
) -> None:
    """Set the override, replacing the one of the same effect."""
    values = {
        "reason": change.reason,
        "actor": change.actor,
        "created_at": change.now,
        "expires_at": expires_at,
    }
    statement = dialect_insert(session, FlagOverride).values(flag=flag, user_id=user_id, effect=effect.value, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["flag", "user_id", "effect"], set_=values))


def delete_override(session: Session, flag: str, user_id: str, effect: Effect) -> bool:
    """Remove the override; False when there was none."""
    key = (FlagOverride.flag == flag, FlagOverride.user_id == user_id, FlagOverride.effect == effect)
    return rowcount_of(session, delete(FlagOverride).where(*key)) == 1


def _stored(row: FlagOverride) -> StoredOverride:
    return StoredOverride(
        row.flag, row.user_id, Effect(row.effect), row.reason, row.actor, row.created_at, row.expires_at
    )
