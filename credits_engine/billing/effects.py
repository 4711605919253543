"""From facts to effects: what a user is entitled to now, and what has to change so that the books say so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from credits_engine.billing.prices import highest, rank
from credits_engine.billing.subscriptions import History, Right, best_plan, right
from credits_engine.periods import Period
from credits_engine.plans import Catalogue, CreditPlan


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's entitlement at one instant, decided by the best of their subscriptions."""

    plan: CreditPlan
    anchor: datetime | None
    blocked: str | None
    reason: str
    due_at: datetime | None
    """When the clock alone may change this."""
    subscription_id: str
    period: Period | None
    opened_at: datetime | None
    is_live: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of v2's counters: its period, whose plan's limits it has, and when it was last posted to."""

    period: Period
    plan: str


@dataclass(frozen=True, slots=True)
class ClosePeriod:
    """End a period early, at the start of one that was paid for; `plan` is what was in force until then."""

    period: Period
    at: datetime
    plan: CreditPlan


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """Give an open period the limits of another plan, keeping what was used."""

    period: Period
    plan: CreditPlan


def standing(histories: Iterable[History], now: datetime, catalogue: Catalogue) -> Standing | None:
    """What the user may do at `now`; None while no subscription ever granted anything. Raises UnsoldPriceError."""
    rights = [found for history in histories if (found := right(history, now, catalogue))]
    if not rights:
        return None
    best = max(rights, key=lambda each: _worth(each, catalogue))
    due = [moment for each in rights for moment in each.due]
    return Standing(
        plan=best.plan,
        anchor=best.anchor,
        blocked=best.blocked,
        reason=best.reason,
        due_at=min(due, default=None),
        subscription_id=best.subscription_id,
        period=best.period,
        opened_at=best.opened_at,
        is_live=not best.has_ended,
    )


def closing(
    rows: Sequence[Row],
    found: Standing,
    histories: Sequence[History],
    *,
    original: CreditPlan,
    last_used_at: datetime | None,
    now: datetime,
    catalogue: Catalogue,
) -> ClosePeriod | None:
    """The period to end because a later one was paid for; None when nothing reaches across its start.

    What was consumed since then stays in the period it was decided in, so the cut comes after it. A period that the
    clock opened in the meantime has granted the new allowance already.
    """
    start = found.opened_at
    if start is None or any(row.period.start >= start for row in rows):
        return None
    across = next((row for row in rows if start in row.period), None)
    if across is None:
        return None
    at = start
    if last_used_at is not None and last_used_at >= start:
        if now not in across.period:
            return None
        at = now
    before = plan_within(Period(across.period.start, at), histories, catalogue) or original
    return ClosePeriod(across.period, at, before)


def limits(
    row: Row, found: Standing, histories: Sequence[History], *, now: datetime, catalogue: Catalogue
) -> ChangeLimits | None:
    """The limits that the running period should have, where it has others: raised at once, lowered by the next period.

    Lowered at once only where rights ended, or where a late event tells that the period began with a lower plan.
    """
    if now not in row.period:
        return None
    within = plan_within(row.period, histories, catalogue) if found.is_live else None
    wanted = highest([found.plan, within], catalogue) if within else found.plan
    return None if row.plan == wanted.name else ChangeLimits(row.period, wanted)


def plan_within(span: Period, histories: Iterable[History], catalogue: Catalogue) -> CreditPlan | None:
    """The highest plan that any subscription granted within `span`; None where none did."""
    plans = [plan for history in histories if (plan := best_plan(history, span, catalogue))]
    return highest(plans, catalogue) if plans else None


def _worth(each: Right, catalogue: Catalogue) -> tuple[object, ...]:
    return (not each.has_ended, each.blocked is None, rank(each.plan, catalogue), each.subscription_id)
