"""Orders of packs: made once for an account, a period and a number, and brought to their end at Stripe.

An order is committed before Stripe hears of it, so a crash leaves an order that somebody goes on with, by the same
idempotency keys. Credits come by the event of the paid invoice, as for every other pack: until it has come, nothing
more is ordered for the account.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import after_commit, read_only, transaction
from control_plane.platform.settings import current
from credits_engine.billing.auto_top_ups import payment
from credits_engine.billing.auto_top_ups.order_conditions import blocked_reason, is_money_returned, short_period
from credits_engine.billing.auto_top_ups.rules import (
    LEASE,
    OPEN,
    AutoTopUp,
    Order,
    OrderState,
    may_order,
    order_key,
    pause_after,
)
from credits_engine.billing.entitlements.customers import paying_customer
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.facts import PackPaid
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.store import facts
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeGateway, StripeUnavailableError
from credits_engine.operations import account_books
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts, usage_webhooks
from credits_engine.store.tables import ResultRow

ACTOR = "billing"
ACTION = "billing.auto_top_up"
STOPPED = "credits.auto_top_up_stopped"
PAGE = 200
AT_ONCE = 5
STOPS = frozenset({OrderState.DECLINED, OrderState.FAILED})
NO_CUSTOMER = "The account is no customer of Stripe's any more."
MONEY_RETURNED = "The money of such a pack was refunded, or is disputed."

ENDED = Counter("rollout_auto_top_ups", "Packs that accounts bought by themselves, by how the order ended.", ["result"])
for result in OrderState:
    if result not in OPEN:
        ENDED.labels(result.value)

log = structlog.get_logger()


def place_due(now: datetime, *, after: str = "") -> str:
    """Order for those of the next accounts that are short; returns after whom to go on, and nothing at their end."""
    with read_only() as session:
        page = [wanted_of(row) for row in store.page(session, after=after, most=PAGE)]
    for each in page:
        # One by one: an account that can't be read holds up no other.
        with _logged(each.user_id):
            _place_if_short(each, now)
    return page[-1].user_id if len(page) == PAGE else ""


def _place_if_short(wanted: AutoTopUp, now: datetime) -> None:
    with read_only() as session:
        is_short = short_period(session, wanted, now) is not None
    if is_short:
        with transaction() as session:
            place(session, wanted.user_id, now)


def place(session: Session, user_id: str, now: datetime) -> bool:
    """Order a pack for an account if it is short, and may have one more; returns whether it was ordered."""
    row = store.find(session, user_id, lock=True)
    wanted = wanted_of(row) if row else None
    # Under the lock once more: another process may have ordered, or the account changed its mind.
    period = short_period(session, wanted, now) if wanted else None
    if wanted is None or period is None:
        return False
    if not may_order(wanted, [order_of(each) for each in store.orders_since(session, user_id, period.start)]):
        return False
    customer_id = paying_customer(session, user_id)
    # Never before it was wanted, by whichever clock: what comes to a bad end is to stop it.
    ordered_at = max(now, wanted.updated_at)
    if customer_id is None or is_money_returned(session, wanted):
        reason = MONEY_RETURNED if customer_id else NO_CUSTOMER
        _stop(session, user_id, now, set_before=ordered_at, reason=reason)
        return False
    number = store.next_number(session, user_id, period.start)
    order = {"user_id": user_id, "period_start": period.start, "number": number, "price": wanted.price}
    order |= {"key": order_key(user_id, period.start, number), "customer_id": customer_id}
    order |= {"amount_max": wanted.amount_max, "state": OrderState.ORDERED.value}
    order |= {"ordered_at": ordered_at, "next_at": now}
    store.add_order(session, order)
    log.info("auto_top_up.ordered", user=user_id, price=wanted.price, number=number)
    return True


def process_due(gateway: StripeGateway, now: datetime) -> int:
    """Go on with the orders that something is to be done about; returns how many that were."""
    with read_only() as session:
        found = [order_of(row) for row in store.due(session, now, most=AT_ONCE)]
    done = 0
    for order in found:
        with _logged(order.user_id):
            done += process(gateway, order, now)
    return done


def process(gateway: StripeGateway, order: Order, now: datetime) -> bool:
    """Go on with one order; False where another process does."""
    with transaction() as session:
        if not store.claim(session, (order.user_id, order.id), order.attempts, until=now + LEASE):
            return False
        is_granted = _is_granted(session, order)
        earlier = [order_of(each) for each in store.orders_since(session, order.user_id, order.period_start)]
        blocked = blocked_reason(session, order.user_id, now)
    # From here on no transaction is open: Stripe may take its time, and a crash leaves the order as it was claimed.
    if is_granted:
        after = replace(order, state=OrderState.PAID, reason=None)
    else:
        after = _advance(lambda: payment.advance(gateway, order, earlier, now, blocked=blocked), order, now)
    _finish(order, after, now)
    return True


def wanted_of(row: ResultRow) -> AutoTopUp:
    """Return what an account wants."""
    return AutoTopUp(
        row.user_id,
        row.price,
        row.below,
        row.per_period_max,
        row.amount_max,
        row.updated_at,
        row.stopped_at,
        row.stopped_reason,
    )


def order_of(row: ResultRow) -> Order:
    """Return an order."""
    return Order(
        row.id,
        row.user_id,
        row.period_start,
        row.number,
        row.key,
        row.price,
        row.customer_id,
        row.amount_max,
        OrderState(row.state),
        OrderState(row.ends_as) if row.ends_as else None,
        row.invoice_id,
        row.amount,
        row.currency,
        row.reason,
        row.ordered_at,
        row.attempts,
    )


@contextmanager
def _logged(user_id: str) -> Iterator[None]:
    """Let what fails for one account fail for that account alone."""
    try:
        yield
    except Exception:
        log.exception("auto_top_up.failed", user=user_id)


def _advance(ask: Callable[[], Order], order: Order, now: datetime) -> Order:
    try:
        return ask()
    except (StripeUnavailableError, BreakerOpenError) as error:
        log.warning("auto_top_up.not_answered", order=order.id, error=str(error))
        return payment.unanswered(order, now)


def _finish(before: Order, after: Order, now: datetime) -> None:
    """Write how an order goes on, and stop what was wanted where it came to a bad end."""
    ends_as = after.ends_as
    values = {
        "state": after.state.value,
        "ends_as": ends_as.value if ends_as else None,
        "invoice_id": after.invoice_id,
        "amount": after.amount,
        "currency": after.currency,
        "reason": after.reason,
        "next_at": now if after.state is OrderState.VOIDING and after != before else now + _pause(after, now),
    }
    with transaction() as session:
        if not store.move(session, (before.user_id, before.id), before.attempts + 1, values):
            return
        if after.state not in OPEN:
            after_commit(session, ENDED.labels(after.state.value).inc)
        if before.state is not after.state and (after.state in STOPS or ends_as in STOPS):
            _stop(session, after.user_id, now, set_before=after.ordered_at, reason=after.reason or "")


def _pause(order: Order, now: datetime) -> timedelta:
    # The event of a paid invoice comes within seconds, so one that was charged is looked at anew each time it is due.
    is_fresh = order.state is OrderState.CHARGED and now - order.ordered_at < timedelta(minutes=10)
    return timedelta(seconds=5) if is_fresh else pause_after(order.attempts)


def _is_granted(session: Session, order: Order) -> bool:
    """Return whether the event of the invoice came: what it states and the pack are stored in one transaction."""
    if order.invoice_id is None:
        return False
    stated = facts.of_customer(session, order.customer_id)
    return any(isinstance(each, PackPaid) and each.invoice_id == order.invoice_id for each in stated)


def _stop(session: Session, user_id: str, now: datetime, *, set_before: datetime, reason: str) -> None:
    if store.stop(session, user_id, set_before=set_before, now=now, reason=reason):
        change = ChangeContext(now, ACTOR, reason)
        audit.record(session, change, action=ACTION, subject=f"user:{user_id}", after={"stopped": reason})
        row = store.find(session, user_id)
        if row is not None:
            _notify_product(session, wanted_of(row), now)
        log.warning("auto_top_up.stopped", user=user_id, reason=reason)


def _notify_product(session: Session, wanted: AutoTopUp, now: datetime) -> bool:
    """Tell the product that an account is not topped up any more; returns whether that is in its outbox."""
    offer, found = find_offer(wanted.price), accounts.find(session, wanted.user_id)
    if not current().usage_webhook_url or offer is None or found is None:
        return False
    engine = flag_lookup(session, now)(found[0]).engine
    book = account_books.read_books(session, found[0], now).of(engine)
    row = {
        "user_id": wanted.user_id,
        "event": STOPPED,
        "kind": offer.kind,
        "percent": 0,
        "since": now,
        "engine": engine.value,
        "used": book.used[offer.kind],
        "granted": book.limits[offer.kind] or 0,
        "occurred_at": now,
    }
    return usage_webhooks.add(session, row, now=now)
