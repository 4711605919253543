"""All SQL of the flags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control_plane.platform import leases
from control_plane.platform.database import affected, insert, run
from control_plane.platform.models import Change, Lease
from flags.models import DirectoryUser, FlagOverride
from flags.phased import Override

UPSERT_BATCH = 500
ROUTING_STATE = select(
    select(func.max(Change.id)).scalar_subquery(),
    select(Lease.expires_at).where(Lease.name == leases.GUARD).scalar_subquery(),
)


class Effect(StrEnum):
    """What an override does to its user."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class UserAttributes:
    """What the directory knows of a user. `plan` is the product's name of it; the credits decide what it means."""

    user_id: str
    plan: str
    signed_up_at: datetime | None = None
    beta: bool = False
    billing_anchor: datetime | None = None


def routing_state(session: Session) -> tuple[int, datetime | None]:
    """The revision and the end of the guard's lease, in one round trip: all that each evaluation must know afresh."""
    revision, expires_at = run(session, ROUTING_STATE).one()
    return revision or 0, expires_at


def overrides(session: Session, flag: str, effect: Effect) -> dict[str, Override]:
    """The users `flag` treats by name, including those whose override has expired."""
    rows = session.execute(
        select(FlagOverride.user_id, FlagOverride.reason, FlagOverride.expires_at).where(
            FlagOverride.flag == flag, FlagOverride.effect == effect
        )
    )
    return {user_id: Override(reason, expires_at) for user_id, reason, expires_at in rows}


def put_override(
    session: Session,
    flag: str,
    user_id: str,
    effect: Effect,
    *,
    reason: str,
    actor: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> None:
    """Set the override, replacing the one of the same effect."""
    values = {"reason": reason, "actor": actor, "created_at": now, "expires_at": expires_at}
    statement = insert(session, FlagOverride).values(flag=flag, user_id=user_id, effect=effect.value, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["flag", "user_id", "effect"], set_=values))


def delete_override(session: Session, flag: str, user_id: str, effect: Effect) -> bool:
    """Remove the override; False when there was none."""
    key = (FlagOverride.flag == flag, FlagOverride.user_id == user_id, FlagOverride.effect == effect)
    return affected(session, delete(FlagOverride).where(*key)) == 1


def beta_members(session: Session) -> frozenset[str]:
    """Everybody on the beta allowlist."""
    return frozenset(session.scalars(select(DirectoryUser.user_id).where(DirectoryUser.beta)))


def user(session: Session, user_id: str) -> UserAttributes | None:
    """What the directory knows of one user."""
    row = session.get(DirectoryUser, user_id, populate_existing=True)
    if row is None:
        return None
    return UserAttributes(row.user_id, row.plan, row.signed_up_at, row.beta, row.billing_anchor)


def upsert_users(session: Session, users: Iterable[UserAttributes], *, now: datetime) -> int:
    """Store what is known of these users, in batches; returns how many."""
    stored = 0
    rows: list[Mapping[str, object]] = []
    for attributes in users:
        rows.append(_row(attributes, now))
        if len(rows) == UPSERT_BATCH:
            stored += _upsert(session, rows)
            rows = []
    return stored + _upsert(session, rows)


def _row(attributes: UserAttributes, now: datetime) -> dict[str, object]:
    return {
        "user_id": attributes.user_id,
        "plan": attributes.plan,
        "signed_up_at": attributes.signed_up_at,
        "beta": attributes.beta,
        "billing_anchor": attributes.billing_anchor,
        "updated_at": now,
    }


def _upsert(session: Session, rows: list[Mapping[str, object]]) -> int:
    if rows:
        statement = insert(session, DirectoryUser.__table__)
        changed = {name: statement.excluded[name] for name in rows[0] if name != "user_id"}
        statement = statement.on_conflict_do_update(index_elements=["user_id"], set_=changed)
        session.connection().execute(statement, rows)
    return len(rows)
