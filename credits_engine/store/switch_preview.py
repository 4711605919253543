"""Pages of the directory with both books beside each user, in one statement a page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.decisions import Amounts
from credits_engine.engines.periods import Period, calendar_month
from credits_engine.engines.plans import Kind, Limits
from credits_engine.store.accounts import EVERYBODY, UNSPENT_FROM, Account
from credits_engine.store.books import CounterRow
from credits_engine.store.tables import BILLING, COUNTERS, FREEZES, LEGACY, PACKS, USERS


@dataclass(frozen=True, slots=True)
class DirectoryAccount:
    """One user of the directory: v2's running row if it is open, legacy's count of the month, usable packs."""

    account: Account
    row: CounterRow | None
    legacy_used: Amounts
    bought: Amounts


NOW = bindparam("now", type_=COUNTERS.c.period_start.type)


def _held(kind: Kind) -> Any:
    return (
        select(func.coalesce(func.sum(PACKS.c.remaining), 0))
        .where(
            PACKS.c.user_id == USERS.c.user_id,
            PACKS.c.remaining > UNSPENT_FROM,
            PACKS.c.kind == kind.value,
            PACKS.c.expires_at > NOW,
        )
        .scalar_subquery()
    )


FROZEN = (
    select(FREEZES.c.reason)
    .where(FREEZES.c.user_id.in_([USERS.c.user_id, EVERYBODY]))
    .order_by(FREEZES.c.user_id)
    .limit(1)
    .scalar_subquery()
)
PAGE = (
    select(
        USERS.c.user_id,
        USERS.c.plan.label("user_plan"),
        USERS.c.signed_up_at,
        USERS.c.beta,
        USERS.c.billing_anchor,
        func.coalesce(FROZEN, BILLING.c.blocked).label("frozen"),
        *(COUNTERS.c[name] for name in ("period_start", "period_end", "plan", "analysis_limit", "roast_limit")),
        COUNTERS.c.analysis_used.label("v2_analysis"),
        COUNTERS.c.roast_used.label("v2_roast"),
        func.coalesce(LEGACY.c.analysis_used, 0).label("legacy_analysis"),
        func.coalesce(LEGACY.c.roast_used, 0).label("legacy_roast"),
        _held(Kind.ANALYSIS).label("bought_analysis"),
        _held(Kind.ROAST).label("bought_roast"),
    )
    .select_from(USERS)
    .outerjoin(BILLING, BILLING.c.user_id == USERS.c.user_id)
    .outerjoin(
        COUNTERS,
        and_(
            COUNTERS.c.user_id == USERS.c.user_id,
            COUNTERS.c.period_start <= NOW,
            COUNTERS.c.period_end > NOW,
        ),
    )
    .outerjoin(
        LEGACY,
        and_(
            LEGACY.c.user_id == USERS.c.user_id,
            LEGACY.c.month_start == bindparam("month", type_=LEGACY.c.month_start.type),
        ),
    )
    .where(USERS.c.user_id > bindparam("after"))
    .order_by(USERS.c.user_id)
    .limit(bindparam("most"))
)


def page(session: Session, after: str, *, now: datetime, most: int) -> list[DirectoryAccount]:
    """The next users after `after`, at most so many."""
    values = {"after": after, "now": now, "month": calendar_month(now).start, "most": most}
    return [_account(row) for row in execute_core(session, PAGE, values)]


def _account(row: Any) -> DirectoryAccount:
    account = Account(row.user_id, row.user_plan, row.signed_up_at, row.beta, row.billing_anchor, row.frozen)
    counter = None
    if row.period_start is not None:
        counter = CounterRow(
            Period(row.period_start, row.period_end),
            row.plan,
            Amounts(row.v2_analysis, row.v2_roast),
            Limits(row.analysis_limit, row.roast_limit),
        )
    bought = Amounts(int(row.bought_analysis), int(row.bought_roast))
    return DirectoryAccount(account, counter, Amounts(row.legacy_analysis, row.legacy_roast), bought)
