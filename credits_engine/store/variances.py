"""Operations on which the engines differed, counted by what explains it, by the plan and by what was asked for."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.amount_types import amount_of
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.store.journal import DIFFERS, Filters, filtered
from credits_engine.store.tables import JOURNAL, USERS

GROUPS_MAX = 200


class VarianceGroup(NamedTuple):
    """Operations alike: the class, its cause, the user's plan of today, the kinds asked for together."""

    variance: str
    cause: str
    plan: str
    kinds: tuple[Kind, ...]
    operations: int
    users: int
    first: datetime
    last: datetime


def groups(session: Session, filters: Filters, *, most: int) -> list[VarianceGroup]:
    """Count the latest `most` differing rows that fit, the most frequent group first."""
    # Bounded before it is grouped: a policy that differs for everybody is a row per operation.
    columns = JOURNAL.c["variance", "cause", "user_id", "requested", "occurred_at"]
    rows = filtered(select(*columns).where(DIFFERS), filters)
    latest = rows.order_by(JOURNAL.c.id.desc()).limit(most).subquery()
    kinds = [(amount_of(latest.c.requested, kind) != 0).label(f"has_{kind}") for kind in KINDS]
    plan = func.coalesce(USERS.c.plan, "").label("plan")
    cause = func.coalesce(latest.c.cause, "").label("cause")
    key = (latest.c.variance, cause, plan, *kinds)
    counted = func.count().label("operations")
    query = (
        select(
            *key,
            counted,
            func.count(latest.c.user_id.distinct()).label("users"),
            func.min(latest.c.occurred_at).label("first"),
            func.max(latest.c.occurred_at).label("last"),
        )
        .select_from(latest.outerjoin(USERS, USERS.c.user_id == latest.c.user_id))
        .group_by(*key)
        .order_by(counted.desc(), *key)
        .limit(GROUPS_MAX)
    )
    return [_group(*row) for row in execute_core(session, query)]


def _group(variance: str, cause: str, plan: str, *rest: object) -> VarianceGroup:
    has, counts = rest[: len(KINDS)], rest[len(KINDS) :]
    kinds = tuple(kind for kind, given in zip(KINDS, has, strict=True) if given)
    return VarianceGroup._make((variance, cause, plan, kinds, *counts))
