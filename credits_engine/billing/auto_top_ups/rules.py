"""When an account may order a pack, and how an order ends. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class OrderState(StrEnum):
    """The state of an order. Nobody knows of a `failed` one whether it was paid, so it counts as if it were."""

    ORDERED = "ordered"
    VOIDING = "voiding"
    CHARGED = "charged"
    PAID = "paid"
    DECLINED = "declined"
    ABOVE_MAX = "above_max"
    FAILED = "failed"


OPEN = frozenset({OrderState.ORDERED, OrderState.VOIDING, OrderState.CHARGED})
COUNTED = frozenset({OrderState.CHARGED, OrderState.PAID, OrderState.FAILED})
GIVE_UP_AFTER = timedelta(hours=20)
"""Stripe keeps idempotency keys for at least a day; before that is over, an order is not sent any more."""
LEASE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """What an account wants: below `below` credits the pack of `price`, within the bounds of a period."""

    user_id: str
    price: str
    below: int
    per_period_max: int
    amount_max: int | None
    updated_at: datetime
    stopped_at: datetime | None = None
    stopped_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands; `amount_max` is the bound of the period when it was made."""

    id: int
    user_id: str
    period_start: datetime
    number: int
    key: str
    price: str
    customer_id: str
    amount_max: int | None
    state: OrderState
    ends_as: OrderState | None
    invoice_id: str | None
    amount: int | None
    currency: str | None
    reason: str | None
    ordered_at: datetime
    attempts: int


def may_order(wanted: AutoTopUp, orders: Sequence[Order]) -> bool:
    """Return whether one more pack may be bought beside the orders of this period and those that are open."""
    if wanted.stopped_at is not None or any(each.state in OPEN or _is_bound(wanted, each) for each in orders):
        return False
    counted = [each for each in orders if each.state in COUNTED]
    if len(counted) >= wanted.per_period_max:
        return False
    # What may have cost any amount leaves no amount that is surely within the bound.
    is_known = all(each.amount is not None for each in counted)
    return wanted.amount_max is None or (is_known and spent(counted) < wanted.amount_max)


def _is_bound(wanted: AutoTopUp, order: Order) -> bool:
    """Return whether an order was beyond the bound that is still wanted."""
    return order.state is OrderState.ABOVE_MAX and order.ordered_at >= wanted.updated_at


def spent(orders: Sequence[Order]) -> int:
    """Return what these orders cost, in the smallest unit of their currency."""
    return sum(each.amount or 0 for each in orders if each.state in COUNTED)


def order_key(user_id: str, period_start: datetime, number: int) -> str:
    """Return Stripe's idempotency key of an order: the same whoever sends it, and nobody's name."""
    named = f"{user_id}\n{period_start.isoformat()}\n{number}"
    return f"auto-top-up-{hashlib.blake2b(named.encode(), digest_size=16).hexdigest()}"


def pause_after(attempts: int) -> timedelta:
    """Return the pause after so many attempts: ten seconds, doubling up to an hour."""
    doubled: timedelta = timedelta(seconds=10) * 2 ** min(attempts, 10)
    return min(LONGEST_PAUSE, doubled)
