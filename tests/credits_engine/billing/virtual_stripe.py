"""A small Stripe that lives on a clock of its own: customers act, time passes, and it tells so in events.

What the objects look like is `stripe_objects`' part.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from credits_engine.engines.periods import billing_period, months_after
from tests.credits_engine.billing.stripe_objects import NEW, Json, Objects, Subscription, seconds

START = datetime(2026, 11, 10, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class VirtualStripe:
    """Customers and subscriptions of one account, and every event it sent so far."""

    def __init__(self, generation: str = NEW, now: datetime = START, name: str = "") -> None:
        self._objects = Objects(generation, self._id)
        self.now = now
        self.events: list[Json] = []
        self.subscriptions: dict[str, Subscription] = {}
        self.invoices: list[Json] = []
        self._name = name
        self._numbers = count(1)

    # What customers and operators do

    def checkout(self, user: str, price: str, *, customer: str = "", reference: bool = True) -> Subscription:
        """Return a customer subscribes on the product's page and pays at once."""
        subscription = self.open(customer or f"cus_{user}", price)
        self._send("checkout.session.completed", self._objects.checkout(subscription, user if reference else None))
        return subscription

    def open(self, customer: str, price: str, *, metadata: Json | None = None) -> Subscription:
        """Return a subscription by API: created incomplete, active with the first payment."""
        subscription = Subscription(
            id=self._id("sub"),
            customer=customer,
            price=price,
            status="incomplete",
            created=self.now,
            anchor=self.now,
            start=self.now,
            end=self.now,
            metadata=metadata or {},
        )
        subscription.end = months_after(self.now, subscription.months)
        self.subscriptions[subscription.id] = subscription
        self._tell(subscription, "created")
        self._bill(subscription, "subscription_create")
        if subscription.open_invoice is None:
            self._change(subscription, status="active")
        return subscription

    def try_out(self, user: str, price: str, days: int = 14) -> Subscription:
        """Return a trial: the anchor lies at its end."""
        end = self.now + timedelta(days=days)
        subscription = Subscription(
            id=self._id("sub"),
            customer=f"cus_{user}",
            price=price,
            status="trialing",
            created=self.now,
            anchor=end,
            start=self.now,
            end=end,
            metadata={"user_id": user},
        )
        self.subscriptions[subscription.id] = subscription
        self._tell(subscription, "created")
        return subscription

    def change_price(self, subscription: Subscription, price: str, *, move_anchor: bool = False) -> None:
        """Up- or downgrade: prorated, or with a new anchor and a new period that is paid at once."""
        if move_anchor:
            end = months_after(self.now, 12 if price.endswith("_yearly") else 1)
            self._change(subscription, price=price, anchor=self.now, start=self.now, end=end)
            self._bill(subscription, "subscription_update", move_anchor=True)
        else:
            self._change(subscription, price=price)
            self._bill(subscription, "subscription_update", proration=True)

    def cancel(self, subscription: Subscription, *, at_once: bool = False) -> None:
        """Cancel as the customer: with the period, or now."""
        if at_once:
            self._end(subscription)
        else:
            self._change(subscription, ends_with_period=True)

    def stay(self, subscription: Subscription) -> None:
        """Take the cancellation back as the customer."""
        self._change(subscription, ends_with_period=False)

    def pause(self, subscription: Subscription) -> None:
        """End a trial without a card."""
        self._change(subscription, "paused", status="paused")

    def resume(self, subscription: Subscription) -> None:
        """Add the card: a new period begins now."""
        end = months_after(self.now, subscription.months)
        self._change(subscription, "resumed", status="active", anchor=self.now, start=self.now, end=end)
        self._bill(subscription, "subscription_update", move_anchor=True)

    def pay_open_invoice(self, subscription: Subscription) -> None:
        """Pay the open invoice by a new card."""
        subscription.card_works = True
        invoice = subscription.open_invoice
        assert invoice is not None
        self._settle(subscription, invoice)
        if subscription.status != "active":
            self._change(subscription, status="active")

    def refund(self, subscription: Subscription, share: float = 1.0) -> None:
        """Give back a share of what the last invoice brought in."""
        invoice = subscription.last_invoice
        assert invoice is not None
        self._send("charge.refunded", self._objects.refunded_charge(subscription, invoice, share))

    def pass_time(self, until: datetime) -> None:
        """Let the clock run: subscriptions renew, fail, end."""
        while due := min(((_due_at(s), s.id) for s in self._living() if _due_at(s) <= until), default=None):
            self.now = due[0]
            subscription = self.subscriptions[due[1]]
            if subscription.cancel_at == self.now or subscription.ends_with_period or subscription.status == "unpaid":
                self._end(subscription)
            else:
                self.renew(subscription)
        self.now = max(self.now, until)

    def renew(self, subscription: Subscription) -> None:
        """Begin the next period; its invoice is collected an hour later."""
        self.collect(subscription, self.begin_period(subscription) + HOUR)

    def collect(self, subscription: Subscription, at: datetime) -> None:
        """Finalize the invoice of the running period and try to collect it."""
        self.now = at
        self._bill(subscription, "subscription_cycle")
        if subscription.open_invoice is not None and subscription.status == "active":
            self._change(subscription, status="past_due")

    def begin_period(self, subscription: Subscription, **changes: Any) -> datetime:
        """Begin the next period, whose invoice is a draft at first, with these changes; returns when it begins."""
        start = self.now = subscription.end
        end = billing_period(subscription.anchor, start).end
        if subscription.months > 1:
            end = months_after(start, subscription.months)
        status = "active" if subscription.status == "trialing" else subscription.status
        self._change(subscription, start=start, end=end, status=status, **changes)
        return start

    # What Stripe says of it

    def object(self, subscription: Subscription) -> Json:
        """Return the subscription as an API object of this generation."""
        return self._objects.subscription(subscription)

    def _living(self) -> Iterator[Subscription]:
        dead = ("canceled", "incomplete", "incomplete_expired", "paused")
        return (each for each in self.subscriptions.values() if each.status not in dead)

    def _end(self, subscription: Subscription) -> None:
        self._change(subscription, "deleted", status="canceled", ended_at=self.now)

    def _change(self, subscription: Subscription, kind: str = "updated", **changes: Any) -> None:
        before = self.object(subscription)
        for name, value in changes.items():
            setattr(subscription, name, value)
        after = self.object(subscription)
        previous = {name: value for name, value in before.items() if after.get(name) != value}
        self._tell(subscription, kind, previous if kind == "updated" else None)

    def _tell(self, subscription: Subscription, kind: str, previous: Json | None = None) -> None:
        self._send(f"customer.subscription.{kind}", self.object(subscription), previous)

    def _bill(
        self, subscription: Subscription, reason: str, *, proration: bool = False, move_anchor: bool = False
    ) -> None:
        invoice = self._invoice(subscription, reason, proration=proration, move_anchor=move_anchor)
        self.invoices.append(invoice)
        if subscription.pause is not None:
            self._set_aside(invoice, subscription.pause["behavior"])
            return
        if subscription.card_works:
            self._settle(subscription, invoice)
        else:
            subscription.open_invoice = invoice
            self._send("invoice.payment_failed", {**invoice, "status": "open"})

    def _set_aside(self, invoice: Json, behavior: str) -> None:
        """While collection is paused: a draft tells nothing."""
        if behavior == "void":
            self._send("invoice.voided", {**invoice, "status": "void"})
        elif behavior == "mark_uncollectible":
            self._send("invoice.marked_uncollectible", {**invoice, "status": "uncollectible"})

    def _settle(self, subscription: Subscription, invoice: Json) -> None:
        subscription.open_invoice = None
        paid = {
            **invoice,
            "status": "paid",
            "amount_paid": invoice["total"],
            "status_transitions": {"paid_at": seconds(self.now)},
        }
        subscription.last_invoice = paid
        self._send("invoice.paid", paid)
        self._send("invoice.payment_succeeded", paid)
        if payment := self._objects.payment(invoice):
            self._send("invoice_payment.paid", payment)

    def _invoice(self, subscription: Subscription, reason: str, *, proration: bool, move_anchor: bool) -> Json:
        lines = []
        if proration or move_anchor:
            lines.append(self._objects.line(subscription, start=self.now, proration=True))
        if not proration:
            lines.append(self._objects.line(subscription, start=subscription.start, proration=False))
        return self._objects.invoice(subscription, reason, lines)

    def _send(self, kind: str, stated: Json, previous: Json | None = None) -> None:
        self.events.append(self._objects.event(kind, stated, previous, self.now))

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._name}{next(self._numbers)}"


def _due_at(subscription: Subscription) -> datetime:
    return min(subscription.end, subscription.cancel_at or subscription.end)
