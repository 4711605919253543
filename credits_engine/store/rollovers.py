"""Rows behind what rolls over: the periods that ended, whether their plan changed meanwhile, and what each left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, literal_column, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.packs import Pack
from credits_engine.engines.periods import Period
from credits_engine.engines.rollovers import PERIODS_MAX, raised
from credits_engine.store import packs
from credits_engine.store.books import CounterRow, counter_row
from credits_engine.store.tables import COUNTERS, JOURNAL, PACK_ENTRIES, PACKS

ROWS_AT_ONCE = 5_000
LONGEST = timedelta(days=32)
"""No period is longer, so one that ended right before the running one began less than twice as long ago."""
# As written in the partial index, which is used for nothing else.
IS_LIMIT_CHANGE = JOURNAL.c.type == literal_column("'limit_change'")
LIMITS_CHANGED = select(
    exists().where(
        JOURNAL.c.user_id == bindparam("user_id"),
        JOURNAL.c.v2_period_start == bindparam("period_start", type_=JOURNAL.c.v2_period_start.type),
        IS_LIMIT_CHANGE,
    )
)
HAS_ROLLED = select(
    exists().where(
        PACKS.c.user_id == bindparam("user_id"),
        PACKS.c.rolled_from == bindparam("period_start", type_=PACKS.c.rolled_from.type),
    )
)
LOWER = (
    update(COUNTERS)
    .where(COUNTERS.c.user_id == bindparam("of_user"), COUNTERS.c.period_start == bindparam("at_start"))
    .values(limits=bindparam("lowered", type_=COUNTERS.c.limits.type))
)
OF_USER = (
    select(
        PACKS,
        JOURNAL.c.v2_period_end.label("ended_at"),
        JOURNAL.c.context,
        COUNTERS.c.period_end.label("ends_at"),
        COUNTERS.c.plan,
    )
    .join(PACK_ENTRIES, and_(PACK_ENTRIES.c.user_id == bindparam("user_id"), PACK_ENTRIES.c.pack_id == PACKS.c.id))
    .join(JOURNAL, and_(JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.id == PACK_ENTRIES.c.journal_id))
    .outerjoin(
        COUNTERS, and_(COUNTERS.c.user_id == bindparam("user_id"), COUNTERS.c.period_start == PACKS.c.rolled_from)
    )
    .where(
        PACKS.c.user_id == bindparam("user_id"),
        PACKS.c.rolled_from > bindparam("since", type_=PACKS.c.rolled_from.type),
        JOURNAL.c.type == "rollover",
    )
    .order_by(PACKS.c.expires_at, PACKS.c.id)
    .with_for_update(of=PACKS)
)


@dataclass(frozen=True, slots=True)
class RolledOver:
    """A pack that holds what a period of a plan left unused, the end it was given, and that period as it is now."""

    pack: Pack
    period: Period
    plan: str
    until: datetime
    is_as_it_was: bool
    """Whether the period still has the end and the plan that it rolled over with."""


def lock_ended(session: Session, user_ids: Sequence[str], plans: Sequence[str], now: datetime) -> dict[str, CounterRow]:
    """Lock and return the last period of each user that ended by `now`, of those that had one of these plans.

    Call it before the openings of these users are locked: whoever applies events holds periods first, too.
    """
    query = (
        select(COUNTERS)
        .where(
            COUNTERS.c.user_id.in_(user_ids),
            COUNTERS.c.period_start > now - 2 * LONGEST,
            COUNTERS.c.period_end <= now,
            or_(
                COUNTERS.c.plan.in_(plans), *(COUNTERS.c.plan.startswith(f"{plan}:", autoescape=True) for plan in plans)
            ),
        )
        .order_by(COUNTERS.c.user_id, COUNTERS.c.period_start)
        .with_for_update()
    )
    return {row.user_id: counter_row(row, row.plan) for row in session.execute(query)}


def of_plans(plans: Sequence[str]) -> ColumnElement[bool]:
    """Select the periods of these plans, those of their seats among them."""
    plan = COUNTERS.c.plan
    return or_(plan.in_(plans), *(plan.startswith(f"{each}:", autoescape=True) for each in plans))


@dataclass(frozen=True, slots=True)
class EndedPeriod:
    """A period that ended: its plan, what was used, what it had been granted, and what of that rolled over."""

    user_id: str
    plan: str
    used: Amounts
    granted: Limits
    rolled: Amounts


def ended_since(session: Session, plans: Sequence[str], since: datetime, now: datetime) -> Iterator[EndedPeriod]:
    """Yield the periods of these plans that ended between two moments."""
    query = (
        select(COUNTERS, PACKS.c.kind, PACKS.c.amount)
        .outerjoin(PACKS, and_(PACKS.c.user_id == COUNTERS.c.user_id, PACKS.c.rolled_from == COUNTERS.c.period_start))
        .where(COUNTERS.c.period_end > since, COUNTERS.c.period_end <= now, of_plans(plans))
        .order_by(COUNTERS.c.user_id, COUNTERS.c.period_start)
    )
    found = session.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
    for _, rows in groupby(found, key=lambda row: (row.user_id, row.period_start)):
        first, *others = rows
        rolled = sum((Amounts(**{row.kind: row.amount}) for row in (first, *others) if row.kind), NOTHING)
        ended = counter_row(first, first.plan)
        yield EndedPeriod(first.user_id, first.plan, ended.used, raised(ended.limits, rolled), rolled)


def limits_changed(session: Session, user_id: str, period_start: datetime) -> bool:
    """Return whether the period ever had the limits of another plan."""
    return _is_true(session, LIMITS_CHANGED, user_id, period_start)


def has_rolled(session: Session, user_id: str, period_start: datetime) -> bool:
    """Return whether the period rolled over before."""
    return _is_true(session, HAS_ROLLED, user_id, period_start)


def lower_limits(session: Session, user_id: str, period: Period, limits: Limits) -> None:
    """Give a locked period lower limits; the credits between are elsewhere by then."""
    execute_core(session, LOWER, {"of_user": user_id, "at_start": period.start, "lowered": limits})


def lock_rolled_over(session: Session, user_id: str, now: datetime) -> list[RolledOver]:
    """Lock and return what rolled over of a user, as far back as it may still last."""
    since = now - (PERIODS_MAX + 2) * LONGEST
    found = execute_core(session, OF_USER, {"user_id": user_id, "since": since})
    return [
        RolledOver(
            pack=packs.pack_of(row),
            period=Period(row.rolled_from, row.ended_at),
            plan=row.context["plan"],
            until=datetime.fromisoformat(row.context["expiresAt"]),
            is_as_it_was=(row.ends_at, row.plan) == (row.ended_at, row.context["plan"]),
        )
        for row in found
    ]


def _is_true(session: Session, query: Select[bool], user_id: str, period_start: datetime) -> bool:
    return bool(execute_core(session, query, {"user_id": user_id, "period_start": period_start}).scalar_one())
