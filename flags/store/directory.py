"""The user directory's SQL."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Integer, Table, bindparam, func, select, text
from sqlalchemy.orm import Session

from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.db.upserts import upsert
from flags.models import DirectoryUser

UPSERT_BATCH = 500
ROWS_AT_ONCE = 5000
ON_THE_LIST = text("beta")  # as written in the partial index: SQLite finds it by nothing else


UPSERT = upsert(cast(Table, DirectoryUser.__table__))
NEWEST = select(DirectoryUser.user_id, DirectoryUser.plan, DirectoryUser.signed_up_at, DirectoryUser.beta).order_by(
    DirectoryUser.signed_up_at.desc().nulls_last()
)
CHANGED = CompiledStatement(
    NEWEST.where(DirectoryUser.updated_at >= bindparam("since", type_=DirectoryUser.updated_at.type)).limit(
        bindparam("most", type_=Integer)
    )
)


@dataclass(frozen=True, slots=True)
class UserAttributes:
    """A user's attributes in the directory. `plan` is the product's name of it; the credits map it to limits."""

    user_id: str
    plan: str
    signed_up_at: datetime | None = None
    beta: bool = False
    billing_anchor: datetime | None = None


def beta_members(session: Session) -> frozenset[str]:
    """Return everybody on the beta allowlist."""
    return frozenset(session.scalars(select(DirectoryUser.user_id).where(ON_THE_LIST)))


def beta_page(session: Session, *, after: str = "", limit: int) -> list[UserAttributes]:
    """Return users on the beta allowlist by user id, of those `after` a user at most so many."""
    listed = ON_THE_LIST & (DirectoryUser.user_id > after)
    query = select(DirectoryUser).where(listed).order_by(DirectoryUser.user_id).limit(limit)
    return [_attributes(row) for row in session.scalars(query)]


def count_beta_members(session: Session) -> int:
    """Count the users on the beta allowlist."""
    return session.scalar(select(func.count()).select_from(DirectoryUser).where(ON_THE_LIST)) or 0


def count_users(session: Session) -> int:
    """Count the users in the directory."""
    return session.scalar(select(func.count()).select_from(DirectoryUser)) or 0


def user(session: Session, user_id: str) -> UserAttributes | None:
    """Return one user's attributes."""
    row = session.get(DirectoryUser, user_id, populate_existing=True)
    return _attributes(row) if row else None


def users_by_id(session: Session, user_ids: Collection[str]) -> dict[str, UserAttributes]:
    """Return these users' attributes; unknown users are left out."""
    query = select(DirectoryUser).where(DirectoryUser.user_id.in_(user_ids)).execution_options(populate_existing=True)
    return {row.user_id: _attributes(row) for row in session.scalars(query)}


def directory_changed(session: Session, *, since: datetime, users: int) -> bool:
    """Return whether a user was changed after `since`, or there are no longer so many `users`."""
    latest = select(func.max(DirectoryUser.updated_at)).scalar_subquery()
    changed_at, count = session.execute(
        select(latest, select(func.count(DirectoryUser.user_id)).scalar_subquery())
    ).one()
    return count != users or (changed_at is not None and changed_at > since)


def users(session: Session, since: datetime | None, *, limit: int) -> Iterator[UserAttributes]:
    """Return users changed since then, or all; who signed up last comes first."""
    if since is not None:
        found: Iterable[Sequence[Any]] = CHANGED.fetch_all(session, {"since": since, "most": limit})
    else:
        found = session.execute(NEWEST.limit(limit).execution_options(yield_per=ROWS_AT_ONCE))
    for row in found:
        yield UserAttributes(*row)


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


def _attributes(row: DirectoryUser) -> UserAttributes:
    return UserAttributes(row.user_id, row.plan, row.signed_up_at, row.beta, row.billing_anchor)


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
    UPSERT.execute_many(session, rows)
    return len(rows)
