"""From facts to effects: what a user is entitled to now, and what has to change so that the books say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from credits_engine.billing.entitlements.history import History
from credits_engine.billing.entitlements.moved_anchors import counted_from, opened_at
from credits_engine.billing.entitlements.plan_of_prices import highest, rank
from credits_engine.billing.entitlements.subscriptions import SubscriptionEntitlement, best_plan, entitlement_of
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period, PeriodRow, billing_period
from credits_engine.engines.plans import Catalogue

Merged = Mapping[str, datetime]
"""The customers that came with an account that was merged into the user's, and when."""
NEVER_MERGED: Merged = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A user's entitlement at one instant, decided by the best of their subscriptions."""

    plan: CreditPlan
    anchor: datetime | None
    blocked: str | None
    reason: str
    due_at: datetime | None
    """When the clock alone may change this."""
    subscription_id: str | None
    period: Period | None
    opened_at: datetime | None
    """The start of a paid period that the anchor moved to: whatever was used before it no longer counts."""
    is_live: bool


@dataclass(frozen=True, slots=True)
class PeriodOverlap:
    """The period that reaches across the start of one that was paid for, and those that the clock opened since."""

    period: Period
    later: tuple[PeriodRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """Give an open period the limits of another plan, keeping what was used."""

    period: Period
    plan: CreditPlan


def entitlement_at(histories: Iterable[History], now: datetime, catalogue: Catalogue) -> Entitlement | None:
    """Return the user's entitlement at `now`; None while no subscription ever granted anything.

    Raises UnmappedPriceError.
    """
    known = list(histories)
    rights = [(found, history) for history in known if (found := entitlement_of(history, now, catalogue))]
    if not rights:
        return None
    best, own = max(rights, key=lambda each: _worth(each[0], catalogue))
    due = [moment for each, _ in rights for moment in each.due]
    return Entitlement(
        plan=best.plan,
        anchor=best.anchor and counted_from(best.anchor, known, now, catalogue),
        blocked=best.blocked,
        reason=best.reason,
        due_at=min(due, default=None),
        subscription_id=best.subscription_id,
        period=best.period,
        opened_at=opened_at(best.anchor, own, known, now) if best.anchor else None,
        is_live=not best.has_ended,
    )


def without_subscription(plan: CreditPlan) -> Entitlement:
    """Return the entitlement of a user whose last subscription became another's: the plan from before the first."""
    return Entitlement(
        plan=plan,
        anchor=None,
        blocked=None,
        reason="No subscription is theirs any more.",
        due_at=None,
        subscription_id=None,
        period=None,
        opened_at=None,
        is_live=False,
    )


def overlap_at(rows: Sequence[PeriodRow], start: datetime) -> PeriodOverlap | None:
    """Find the period that reaches across the start of a paid one; None where one begins there already.

    None too where something counts in a period that the clock opened since: it has granted the new allowance.
    """
    later = tuple(row for row in rows if row.period.start >= start)
    if any(row.is_used or row.period.start == start for row in later):
        return None
    period = next((row.period for row in rows if start in row.period), None)
    return PeriodOverlap(period, later) if period else None


def truncate_at(period: Period, start: datetime, *, last_used_at: datetime | None, now: datetime) -> datetime | None:
    """Return the instant to end it at: the paid start, or now if something was consumed since, which stays where it was
    decided.

    None where the period ended before now anyway: nothing can be put after what was consumed in it.
    """
    if last_used_at is None or last_used_at < start:
        return start
    return now if now in period else None


def reschedule(later: Iterable[PeriodRow], anchor: datetime) -> dict[Period, Period]:
    """Map the periods opened by an older anchor to those of the new one; empty where two would coincide."""
    places = {row.period: billing_period(anchor, row.period.start) for row in later}
    return places if len(set(places.values())) == len(places) else {}


def limits(
    row: PeriodRow,
    found: Entitlement,
    histories: Sequence[History],
    *,
    now: datetime,
    catalogue: Catalogue,
    merged: Merged = NEVER_MERGED,
) -> ChangeLimits | None:
    """Return the limits that the running period should have, where it has others.

    They are raised at once, and lowered by the next period.

    Lowered at once only where rights ended, where a subscription is refused and another one is not, or where a late
    event tells that the period began with a lower plan.
    """
    if now not in row.period:
        return None
    # A plan that was higher within this period keeps its limits to the period's end.
    granting = [each for each in histories if found.blocked or not _is_blocked(each, now, catalogue)]
    within = plan_within(row.period, granting, catalogue, now, merged) if found.is_live else None
    wanted = highest([found.plan, within], catalogue) if within else found.plan
    return None if row.plan == wanted.name else ChangeLimits(row.period, wanted)


def plan_within(
    span: Period, histories: Iterable[History], catalogue: Catalogue, now: datetime, merged: Merged = NEVER_MERGED
) -> CreditPlan | None:
    """Return the highest plan that any subscription granted within `span`, as of `now`; None where none did.

    One that came with a merge granted its plan to somebody else before that.
    """
    spans = [(each, Period(max(span.start, _since(each, merged, span)), span.end)) for each in histories]
    plans = [plan for each, own in spans if own.start < own.end and (plan := best_plan(each, own, catalogue, now))]
    return highest(plans, catalogue) if plans else None


def _is_blocked(history: History, now: datetime, catalogue: Catalogue) -> bool:
    found = entitlement_of(history, now, catalogue)
    return found is not None and found.blocked is not None


def _since(history: History, merged: Merged, span: Period) -> datetime:
    return merged.get(history.newest.customer_id, span.start)


def _worth(each: SubscriptionEntitlement, catalogue: Catalogue) -> tuple[object, ...]:
    # Of two with one plan the later one: its payment opens a period, when it is told and not when the other one ends.
    begun = each.anchor.timestamp() if each.anchor else 0.0
    return (not each.has_ended, each.blocked is None, rank(each.plan, catalogue), begun, each.subscription_id)
