"""Pages of the directory with both books beside each user, in one statement a page."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, and_, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.amount_types import amounts_of, per_kinds
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Kind
from credits_engine.engines.periods import calendar_month
from credits_engine.store.accounts import EVERYBODY, UNSPENT_FROM, Account
from credits_engine.store.books import CounterRow, counter_row
from credits_engine.store.tables import BILLING, COUNTERS, FREEZES, LEGACY, PACKS, USERS, ResultRow


@dataclass(frozen=True, slots=True)
class DirectoryAccount:
    """One user of the directory: v2's running row if it is open, legacy's count of the month, usable packs."""

    account: Account
    row: CounterRow | None
    legacy_used: Amounts
    bought: Amounts


NOW = bindparam("now", type_=COUNTERS.c.period_start.type)


def _left_in_packs(kind: Kind) -> ScalarSelect[int]:
    return (
        select(func.coalesce(func.sum(PACKS.c.remaining), 0))
        .where(
            PACKS.c.user_id == USERS.c.user_id,
            PACKS.c.remaining > UNSPENT_FROM,
            PACKS.c.kind == kind,
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
PAGE = per_kinds(
    lambda: (
        select(
            USERS.c.user_id,
            USERS.c.plan.label("user_plan"),
            USERS.c.signed_up_at,
            USERS.c.beta,
            USERS.c.billing_anchor,
            func.coalesce(FROZEN, BILLING.c.blocked).label("frozen"),
            *(COUNTERS.c[name] for name in ("period_start", "period_end", "plan")),
            COUNTERS.c.used,
            COUNTERS.c.limits,
            LEGACY.c.used.label("legacy_used"),
            amounts_of(*map(_left_in_packs, KINDS)).label("bought"),
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
)


def page(session: Session, after: str, *, now: datetime, most: int) -> list[DirectoryAccount]:
    """Return the next users after `after`, at most so many."""
    values = {"after": after, "now": now, "month": calendar_month(now).start, "most": most}
    return [_account(row) for row in execute_core(session, PAGE(), values)]


def _account(row: ResultRow) -> DirectoryAccount:
    account = Account(row.user_id, row.user_plan, row.signed_up_at, row.beta, row.billing_anchor, row.frozen)
    counter = None if row.period_start is None else counter_row(row, row.plan)
    return DirectoryAccount(account, counter, row.legacy_used or NOTHING, row.bought)
