"""Rows behind what rolls over: the periods that ended, whether their plan changed meanwhile, and what each left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, insert, literal_column, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.amounts import NOTHING, Amounts, Kind, Limits
from credits_engine.engines.packs import Pack
from credits_engine.engines.periods import Period
from credits_engine.engines.receipts import EntryType
from credits_engine.engines.rollovers import PERIODS_MAX, raised
from credits_engine.store import journal, packs
from credits_engine.store.books import CounterRow, counter_row
from credits_engine.store.tables import COUNTERS, JOURNAL, PACK_ENTRIES, PACKS, ResultRow

PeriodKey = tuple[str, datetime]
"""A period of v2: its user and its start."""
ROWS_AT_ONCE = 5_000
LONGEST = timedelta(days=32)
"""No period is longer, so one that ended right before the running one began less than twice as long ago."""
# As written in the partial index, which is used for nothing else.
IS_LIMIT_CHANGE = JOURNAL.c.type == literal_column("'limit_change'")
USER_IDS: ColumnElement[str] = bindparam("users", expanding=True)
STARTS: ColumnElement[datetime] = bindparam("starts", expanding=True)
CHANGED = (
    select(JOURNAL.c.user_id, JOURNAL.c.v2_period_start)
    .where(IS_LIMIT_CHANGE, JOURNAL.c.user_id.in_(USER_IDS), JOURNAL.c.v2_period_start.in_(STARTS))
    .distinct()
)
ROLLED = select(PACKS.c.user_id, PACKS.c.rolled_from).where(
    PACKS.c.user_id.in_(USER_IDS), PACKS.c.rolled_from.in_(STARTS)
)
OF_PERIOD = CompiledStatement(
    select(PACKS.c.kind, PACKS.c.amount).where(
        PACKS.c.user_id == bindparam("user_id"),
        PACKS.c.rolled_from == bindparam("start", type_=PACKS.c.rolled_from.type),
    )
)
LOWER = CompiledStatement(
    update(COUNTERS)
    .where(COUNTERS.c.user_id == bindparam("of_user"), COUNTERS.c.period_start == bindparam("at_start"))
    .values(limits=bindparam("lowered", type_=COUNTERS.c.limits.type))
)
ADD = insert(PACKS).returning(PACKS.c.id, PACKS.c.user_id, PACKS.c.rolled_from, PACKS.c.kind)
APPEND = insert(JOURNAL).returning(JOURNAL.c.id, JOURNAL.c.context)
NOTE = insert(PACK_ENTRIES)
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
        func.coalesce(PACKS.c.rolled_from, PACKS.c.merged_from) > bindparam("since", type_=PACKS.c.rolled_from.type),
        JOURNAL.c.type.in_((EntryType.ROLLOVER.value, EntryType.PACK_TRANSFER.value)),
    )
    .order_by(PACKS.c.expires_at, PACKS.c.id, JOURNAL.c.id)
    .with_for_update(of=PACKS)
)


@dataclass(frozen=True, slots=True)
class Unused:
    """Credits of one kind that a period left unused, and until when they can be spent; `ended` lacks them already."""

    user_id: str
    ended: CounterRow
    kind: Kind
    amount: int
    until: datetime


@dataclass(frozen=True, slots=True)
class RolledOver:
    """A pack that holds what a period of a plan left unused, the end it was given, and that period as it is now."""

    pack: Pack
    period: Period
    plan: str
    until: datetime
    is_as_it_was: bool
    """Whether the period still has the end and the plan that it rolled over with."""
    is_merged: bool = False
    """Whether it was a period of another account, which was merged into this one."""
    subscription_id: str | None = None
    """The subscription that had paid for the period, where it was cut off because a merge brought a better one."""
    is_given: bool = False
    """Whether the plan was never sold, as was known when the accounts were merged."""


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
            of_plans(plans),
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


def changed_plan(session: Session, periods: Sequence[PeriodKey]) -> set[PeriodKey]:
    """Return those of these periods that ever had the limits of another plan."""
    return _found(session, CHANGED, periods)


def has_rolled(session: Session, periods: Sequence[PeriodKey]) -> set[PeriodKey]:
    """Return those of these periods that rolled over before."""
    return _found(session, ROLLED, periods)


def moved_from(session: Session, user_id: str, start: datetime) -> Amounts:
    """Return what has rolled over from a period."""
    found = OF_PERIOD.fetch_all(session, {"user_id": user_id, "start": start})
    return sum((Amounts(**{row.kind: row.amount}) for row in found), NOTHING)


def lower_limits(session: Session, limits: Mapping[PeriodKey, Limits]) -> None:
    """Give locked periods lower limits; the credits between are elsewhere by then."""
    LOWER.execute_many(
        session,
        [{"of_user": user_id, "at_start": start, "lowered": lowered} for (user_id, start), lowered in limits.items()],
    )


def add_each(session: Session, left: Sequence[Unused], now: datetime, *, actor: str) -> None:
    """Store a pack for each, with the row of the journal that fills it."""
    if not left:
        return
    added = execute_core(session, ADD, [_pack_row(each, now) for each in left])
    ids = {(row.user_id, row.rolled_from, row.kind): row.id for row in added}
    numbers = {each: ids[each.user_id, each.ended.period.start, each.kind] for each in left}
    entries = [_journal_row(each, pack_id, now, actor) for each, pack_id in numbers.items()]
    journal_ids = {row.context["pack"]: row.id for row in execute_core(session, APPEND, entries)}
    moves = [
        {"user_id": each.user_id, "journal_id": journal_ids[pack_id], "pack_id": pack_id, "amount": each.amount}
        for each, pack_id in numbers.items()
    ]
    execute_core(session, NOTE, moves)


def _pack_row(each: Unused, now: datetime) -> dict[str, object]:
    return {
        "user_id": each.user_id,
        "kind": each.kind,
        "amount": each.amount,
        "remaining": each.amount,
        "bought_at": now,
        "expires_at": each.until,
        "rolled_from": each.ended.period.start,
    }


def _journal_row(each: Unused, pack_id: int, now: datetime, actor: str) -> dict[str, object]:
    ended = each.ended
    return {
        **journal.BLANK,
        "type": EntryType.ROLLOVER.value,
        "occurred_at": now,
        "user_id": each.user_id,
        "requested": Amounts(**{each.kind: each.amount}),
        "reason": f"{each.amount} {each.kind} were left unused at {ended.period.end:%Y-%m-%dT%H:%M:%SZ} "
        f"and can be spent until {each.until:%Y-%m-%dT%H:%M:%SZ}.",
        "actor": actor,
        "context": {"pack": pack_id, "expiresAt": each.until.isoformat(), "plan": ended.plan},
        "v2_period_start": ended.period.start,
        "v2_period_end": ended.period.end,
        "v2_used": ended.used,
        "v2_limit": ended.limits,
    }


def lock_rolled_over(session: Session, user_id: str, now: datetime) -> list[RolledOver]:
    """Lock and return what rolled over of a user, as far back as it may still last."""
    since = now - (PERIODS_MAX + 2) * LONGEST
    last = {row.id: row for row in execute_core(session, OF_USER, {"user_id": user_id, "since": since})}
    # What a merge took away says nothing of its end, and is nothing of theirs any more.
    return [_rolled_over(row) for row in last.values() if "expiresAt" in row.context]


def _rolled_over(row: ResultRow) -> RolledOver:
    is_merged, context = row.merged_from is not None, row.context
    return RolledOver(
        pack=packs.pack_of(row),
        period=Period(row.merged_from or row.rolled_from, row.ended_at),
        plan=context["plan"],
        until=datetime.fromisoformat(context["expiresAt"]),
        is_as_it_was=is_merged or (row.ends_at, row.plan) == (row.ended_at, context["plan"]),
        is_merged=is_merged,
        subscription_id=context.get("subscription"),
        is_given=context.get("given", False),
    )


def _found(session: Session, query: Select[str, datetime], periods: Sequence[PeriodKey]) -> set[PeriodKey]:
    users, starts = ({key[place] for key in periods} for place in (0, 1))
    rows = execute_core(session, query, {"users": sorted(users), "starts": sorted(starts)})
    return {(user_id, start) for user_id, start in rows} & {*periods}
