"""A small Stripe that lives on a clock of its own: customers act, time passes, and it tells so in events.

The objects have the shape of the chosen API generation and only fields that the official library knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from credits_engine.engines.periods import billing_period, months_after

GENERATIONS = (
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
    "2026-10-28.endive",
)
OLD, NEW = GENERATIONS[0], GENERATIONS[-1]
START = datetime(2026, 11, 10, 8, 0, tzinfo=UTC)
CENTS = {"free": 0, "galaxy": 19900, "starter": 900, "pro": 2900, "plus": 9900, "custom": 49900}
HOUR = timedelta(hours=1)

Json = dict[str, Any]


@dataclass
class Subscription:
    """What Stripe holds of a subscription."""

    id: str
    customer: str
    price: str
    status: str
    created: datetime
    anchor: datetime
    start: datetime
    end: datetime
    ends_with_period: bool = False
    ended_at: datetime | None = None
    card_works: bool = True
    extra_prices: tuple[str, ...] = ()
    open_invoice: Json | None = None
    last_invoice: Json | None = None
    metadata: Json = field(default_factory=dict)

    @property
    def months(self) -> int:
        """The length of the service period."""
        return 12 if self.price.endswith("_yearly") else 1


class VirtualStripe:
    """Customers and subscriptions of one account, and every event it sent so far."""

    def __init__(self, generation: str = NEW, now: datetime = START, name: str = "") -> None:
        self.generation = generation
        self.now = now
        self.events: list[Json] = []
        self.subscriptions: dict[str, Subscription] = {}
        self._name = name
        self._numbers = count(1)

    # What customers and operators do

    def checkout(self, user: str, price: str, *, customer: str = "", reference: bool = True) -> Subscription:
        """A customer subscribes on the product's page and pays at once."""
        subscription = self.open(customer or f"cus_{user}", price)
        session = {
            "id": self._id("cs"),
            "object": "checkout.session",
            "mode": "subscription",
            "payment_status": "paid",
            "customer": subscription.customer,
            "subscription": subscription.id,
            "client_reference_id": user if reference else None,
            "metadata": {},
        }
        self._send("checkout.session.completed", session)
        return subscription

    def open(self, customer: str, price: str, *, metadata: Json | None = None) -> Subscription:
        """A subscription by API: created incomplete, active with the first payment."""
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
        """A trial: the anchor lies at its end."""
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
        """An up- or downgrade: prorated, or with a new anchor and a new period that is paid at once."""
        if move_anchor:
            end = months_after(self.now, 12 if price.endswith("_yearly") else 1)
            self._change(subscription, price=price, anchor=self.now, start=self.now, end=end)
            self._bill(subscription, "subscription_update", move_anchor=True)
        else:
            self._change(subscription, price=price)
            self._bill(subscription, "subscription_update", proration=True)

    def cancel(self, subscription: Subscription, *, at_once: bool = False) -> None:
        """The customer leaves: with the period, or now."""
        if at_once:
            self._end(subscription)
        else:
            self._change(subscription, ends_with_period=True)

    def stay(self, subscription: Subscription) -> None:
        """The customer takes the cancellation back."""
        self._change(subscription, ends_with_period=False)

    def pause(self, subscription: Subscription) -> None:
        """A trial ended without a card."""
        self._change(subscription, "paused", status="paused")

    def resume(self, subscription: Subscription) -> None:
        """The card came: a new period from now on."""
        end = months_after(self.now, subscription.months)
        self._change(subscription, "resumed", status="active", anchor=self.now, start=self.now, end=end)
        self._bill(subscription, "subscription_update", move_anchor=True)

    def pay_open_invoice(self, subscription: Subscription) -> None:
        """A new card settles what is open."""
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
        amount = invoice["amount_paid"]
        charge = {
            "id": f"ch_{invoice['id']}",
            "object": "charge",
            "customer": subscription.customer,
            "amount": amount,
            "amount_refunded": int(amount * share),
            "refunded": share >= 1.0,
            "payment_intent": f"pi_{invoice['id']}",
        }
        if self._is_old:
            charge["invoice"] = invoice["id"]
        self._send("charge.refunded", charge)

    def pass_time(self, until: datetime) -> None:
        """Let the clock run: subscriptions renew, fail, end."""
        while due := min(((s.end, s.id) for s in self._living() if s.end <= until), default=None):
            self.now = due[0]
            subscription = self.subscriptions[due[1]]
            if subscription.ends_with_period or subscription.status == "unpaid":
                self._end(subscription)
            else:
                self.renew(subscription)
        self.now = max(self.now, until)

    def renew(self, subscription: Subscription) -> None:
        """The next period begins; its invoice is collected an hour later."""
        start = subscription.end
        end = billing_period(subscription.anchor, start).end
        if subscription.months > 1:
            end = months_after(start, subscription.months)
        status = "active" if subscription.status == "trialing" else subscription.status
        self._change(subscription, start=start, end=end, status=status)
        self.now = start + HOUR
        self._bill(subscription, "subscription_cycle")
        if subscription.open_invoice is not None and subscription.status == "active":
            self._change(subscription, status="past_due")

    # What Stripe says of it

    def object(self, subscription: Subscription) -> Json:
        """The subscription as an API object of this generation."""
        bounds = {
            "current_period_start": _seconds(subscription.start),
            "current_period_end": _seconds(subscription.end),
        }
        items = [
            {
                "id": f"si_{subscription.id}_{number}",
                "object": "subscription_item",
                "quantity": 1,
                "price": {"id": f"price_{price}", "object": "price", "lookup_key": price},
                **({} if self._is_old else bounds),
            }
            for number, price in enumerate((subscription.price, *subscription.extra_prices))
        ]
        return {
            "id": subscription.id,
            "object": "subscription",
            "customer": subscription.customer,
            "status": subscription.status,
            "created": _seconds(subscription.created),
            "billing_cycle_anchor": _seconds(subscription.anchor),
            "cancel_at": _seconds(subscription.end) if subscription.ends_with_period else None,
            "cancel_at_period_end": subscription.ends_with_period,
            "ended_at": _seconds(subscription.ended_at),
            "metadata": subscription.metadata,
            "items": {"object": "list", "data": items, "has_more": False, "url": "/v1/subscription_items"},
            **(bounds if self._is_old else {}),
        }

    @property
    def _is_old(self) -> bool:
        return self.generation == OLD

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
        if subscription.card_works:
            self._settle(subscription, invoice)
        else:
            subscription.open_invoice = invoice
            self._send("invoice.payment_failed", {**invoice, "status": "open"})

    def _settle(self, subscription: Subscription, invoice: Json) -> None:
        subscription.open_invoice = None
        paid = {
            **invoice,
            "status": "paid",
            "amount_paid": invoice["total"],
            "status_transitions": {"paid_at": _seconds(self.now)},
        }
        subscription.last_invoice = paid
        self._send("invoice.paid", paid)
        self._send("invoice.payment_succeeded", paid)
        if not self._is_old:
            payment = {
                "id": f"inpay_{invoice['id']}",
                "object": "invoice_payment",
                "invoice": invoice["id"],
                "status": "paid",
                "payment": {"type": "payment_intent", "payment_intent": f"pi_{invoice['id']}"},
            }
            self._send("invoice_payment.paid", payment)

    def _invoice(self, subscription: Subscription, reason: str, *, proration: bool, move_anchor: bool) -> Json:
        cents = CENTS[subscription.price.partition("_")[0]]
        lines = []
        if proration or move_anchor:
            lines.append(self._line(subscription, cents // 3, proration=True))
        if not proration:
            lines.append(self._line(subscription, cents, proration=False))
        invoice: Json = {
            "id": self._id("in"),
            "object": "invoice",
            "customer": subscription.customer,
            "billing_reason": reason,
            "total": sum(line["amount"] for line in lines),
            "amount_paid": 0,
            # As Stripe has it, these look back at the period before and must not be used.
            "period_start": _seconds(subscription.start - timedelta(days=30)),
            "period_end": _seconds(subscription.start),
            "lines": {"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/lines"},
        }
        if self._is_old:
            return {**invoice, "subscription": subscription.id, "payment_intent": f"pi_{invoice['id']}"}
        details = {"subscription": subscription.id, "metadata": subscription.metadata}
        return {**invoice, "parent": {"type": "subscription_details", "subscription_details": details}}

    def _line(self, subscription: Subscription, amount: int, *, proration: bool) -> Json:
        start = self.now if proration else subscription.start
        line: Json = {
            "id": self._id("il"),
            "object": "line_item",
            "amount": amount,
            "period": {"start": _seconds(start), "end": _seconds(subscription.end)},
        }
        price = f"price_{subscription.price}"
        if self._is_old:
            own = {"type": "subscription", "subscription": subscription.id, "proration": proration}
            return {**line, **own, "price": {"id": price, "object": "price", "lookup_key": subscription.price}}
        details = {"subscription": subscription.id, "proration": proration}
        parent = {"type": "subscription_item_details", "subscription_item_details": details}
        return {**line, "parent": parent, "pricing": {"type": "price_details", "price_details": {"price": price}}}

    def _send(self, kind: str, stated: Json, previous: Json | None = None) -> None:
        data: Json = {"object": stated}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {
            "id": self._id("evt"),
            "object": "event",
            "api_version": self.generation,
            "created": _seconds(self.now),
            "livemode": False,
            "pending_webhooks": 1,
            "type": kind,
            "data": data,
        }
        self.events.append(event)

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._name}{next(self._numbers)}"


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
