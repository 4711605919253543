"""All SQL on the journal that a report is made from."""

from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, case, func, select
from sqlalchemy.orm import Session

from control_plane.rollouts.blast_radius import Compensation
from credits_engine.amount_types import amount_of, amounts_of, per_kinds, summed, total_of
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Kind
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import EntryType
from credits_engine.remediation.impact import AccountImpact, Total, compensation
from credits_engine.store.journal import DIFFERS, OPERATIONS
from credits_engine.store.tables import JOURNAL, ResultRow, execute_core

SPAN = {name: bindparam(name, type_=JOURNAL.c.occurred_at.type) for name in ("since", "until")}
BY_V2 = (JOURNAL.c.served_engine == EngineName.V2.value) & JOURNAL.c.type.in_(OPERATIONS)
IN_TIME = BY_V2 & (JOURNAL.c.occurred_at >= SPAN["since"]) & (JOURNAL.c.occurred_at < SPAN["until"])
UNEXPLAINED = JOURNAL.c.variance.in_((Variance.DEFECT.value, Variance.SERVED_ERROR.value))
# A reservation is settled by what was committed, so a wrong hold comes back by itself.
MISCHARGED = (
    (JOURNAL.c.type == EntryType.CONSUME.value)
    & (JOURNAL.c.variance == Variance.DEFECT.value)
    & (JOURNAL.c.v2_outcome == Outcome.ALLOWED.value)
    & (JOURNAL.c.legacy_outcome == Outcome.ALLOWED.value)
)


def _sum(amount: ColumnElement[object]) -> ColumnElement[int]:
    return func.coalesce(func.sum(amount), 0)


def _charged(engine: str) -> ColumnElement[Amounts]:
    return summed(JOURNAL.c[f"{engine}_charged"]).label(engine)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return _sum(case((condition, 1), else_=0))


FIRST_DIFFERENCE = select(func.min(JOURNAL.c.occurred_at)).where(IN_TIME, UNEXPLAINED, DIFFERS)
TOTAL = per_kinds(
    lambda: select(func.count(JOURNAL.c.user_id.distinct()), func.count(), _charged("v2"), _charged("legacy")).where(
        IN_TIME
    )
)
LEGACY_ALLOWS = JOURNAL.c.legacy_outcome == Outcome.ALLOWED.value


def _over(kind: Kind) -> ColumnElement[int]:
    v2, legacy = (
        amount_of(JOURNAL.c[f"{engine.value}_charged"], kind) for engine in (EngineName.V2, EngineName.LEGACY)
    )
    return _sum(case((MISCHARGED, v2 - legacy), else_=0))


COSTS = per_kinds(
    lambda: (
        select(
            JOURNAL.c.user_id,
            func.count().label("operations"),
            _count((JOURNAL.c.v2_outcome == Outcome.ERROR.value) & LEGACY_ALLOWS).label("failed"),
            _count(
                JOURNAL.c.v2_outcome.in_((Outcome.DENIED_LIMIT.value, Outcome.DENIED_STATE.value)) & LEGACY_ALLOWS
            ).label("refused"),
            _charged("v2"),
            _charged("legacy"),
            amounts_of(*map(_over, KINDS)).label("over"),
        )
        .where(IN_TIME, DIFFERS)
        .group_by(JOURNAL.c.user_id)
    )
)
# By the partial index of what differs: a healthy journal of any size costs nothing.
OVERCHARGES = per_kinds(
    lambda: (
        select(JOURNAL.c.user_id, amounts_of(*map(_over, KINDS)).label("over"))
        .where(BY_V2, JOURNAL.c.occurred_at >= SPAN["since"], JOURNAL.c.variance == Variance.DEFECT.value, DIFFERS)
        .group_by(JOURNAL.c.user_id)
    )
)
CHARGED = (JOURNAL.c.type == EntryType.CONSUME.value) & (total_of(JOURNAL.c.charged) > 0)
FIRSTS = (
    select(JOURNAL.c.user_id, JOURNAL.c.operation_key, func.min(JOURNAL.c.id).label("first_id"))
    .where(IN_TIME, CHARGED)
    .group_by(JOURNAL.c.user_id, JOURNAL.c.operation_key)
    .having(func.count() > 1)
    .subquery()
)
AGAIN = per_kinds(
    lambda: (
        select(JOURNAL.c.user_id, func.count().label("operations"), summed(JOURNAL.c.charged).label("charged"))
        .join(
            FIRSTS,
            (FIRSTS.c.user_id == JOURNAL.c.user_id)
            & (FIRSTS.c.operation_key == JOURNAL.c.operation_key)
            & (JOURNAL.c.id > FIRSTS.c.first_id),
        )
        .where(IN_TIME, CHARGED)
        .group_by(JOURNAL.c.user_id)
    )
)


def first_difference(session: Session, *, since: datetime, until: datetime) -> datetime | None:
    """Return when v2 first served something that differs without a declared reason; None if it never did."""
    found: datetime | None = execute_core(session, FIRST_DIFFERENCE, {"since": since, "until": until}).scalar()
    return found


def compensation_due(session: Session, since: datetime) -> Compensation:
    """Add up what v2 has charged too much by mistake since `since`, as the report will."""
    rows = execute_core(session, OVERCHARGES(), {"since": since})
    due = [amounts.total for row in rows if (amounts := compensation(row.over, NOTHING)) != NOTHING]
    return Compensation(users=len(due), credits=sum(due))


def total(session: Session, *, since: datetime, until: datetime) -> Total:
    """Return all that v2 served in that time."""
    return Total(*execute_core(session, TOTAL(), {"since": since, "until": until}).one())


def costs(session: Session, *, since: datetime, until: datetime) -> list[AccountImpact]:
    """Return every account for which the engines did not simply agree, or which v2 charged again, by user id."""
    span = {"since": since, "until": until}
    again = {row.user_id: row for row in execute_core(session, AGAIN(), span)}
    differing = {row.user_id: row for row in execute_core(session, COSTS(), span)}
    return [_cost(user_id, differing.get(user_id), again.get(user_id)) for user_id in sorted(differing | again)]


def _cost(user_id: str, row: ResultRow, again: ResultRow) -> AccountImpact:
    twice = again.charged if again else NOTHING
    return AccountImpact(
        user_id=user_id,
        operations=int(row.operations if row else again.operations),
        failed=int(row.failed if row else 0),
        refused=int(row.refused if row else 0),
        v2=row.v2 if row else NOTHING,
        legacy=row.legacy if row else NOTHING,
        owed=compensation(row.over if row else NOTHING, twice),
    )
