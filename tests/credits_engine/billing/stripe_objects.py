"""Stripe's objects as one generation of its API has them, with only the fields that the official library knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

OLD_GENERATIONS = ("2022-11-15", "2024-06-20", "2025-02-24.acacia")
"""Before 2025-03-31.basil, with which the period moved to the items and the subscription under the invoice's parent."""
GENERATIONS = (
    *OLD_GENERATIONS,
    "2025-03-31.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
    "2026-10-28.endive",
)
OLD, NEW = OLD_GENERATIONS[-1], GENERATIONS[-1]
CENTS = {"free": 0, "galaxy": 19900, "team": 4900, "starter": 900, "pro": 2900, "plus": 9900, "custom": 49900}

Json = dict[str, Any]


@dataclass
class Subscription:
    """A subscription as Stripe holds it."""

    id: str
    customer: str
    price: str
    status: str
    created: datetime
    anchor: datetime
    start: datetime
    end: datetime
    ends_with_period: bool = False
    cancel_at: datetime | None = None
    ended_at: datetime | None = None
    card_works: bool = True
    extra_prices: tuple[str, ...] = ()
    open_invoice: Json | None = None
    last_invoice: Json | None = None
    metadata: Json = field(default_factory=dict)
    pause: Json | None = None
    retired_prices: set[str] = field(default_factory=set)
    """Prices whose lookup key went to a successor."""

    @property
    def months(self) -> int:
        """The length of the service period."""
        return {"yearly": 12, "quarterly": 3}.get(self.price.rpartition("_")[2], 1)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one generation of the API, made of what Stripe holds; `new_id("in")` is the next invoice's id."""

    generation: str
    new_id: Callable[[str], str]

    def subscription(self, held: Subscription) -> Json:
        """Return the subscription as it stands."""
        bounds = {"current_period_start": seconds(held.start), "current_period_end": seconds(held.end)}
        items = [
            {
                "id": f"si_{held.id}_{number}",
                "object": "subscription_item",
                "quantity": 1,
                "price": {
                    "id": f"price_{price}",
                    "object": "price",
                    "lookup_key": None if price in held.retired_prices else price,
                },
                **({} if self._is_old else bounds),
            }
            for number, price in enumerate((held.price, *held.extra_prices))
        ]
        return {
            "id": held.id,
            "object": "subscription",
            "customer": held.customer,
            "status": held.status,
            "created": seconds(held.created),
            "billing_cycle_anchor": seconds(held.anchor),
            "cancel_at": seconds(held.end if held.ends_with_period else held.cancel_at),
            "cancel_at_period_end": held.ends_with_period,
            "ended_at": seconds(held.ended_at),
            "pause_collection": held.pause,
            "metadata": held.metadata,
            "items": {"object": "list", "data": items, "has_more": False, "url": "/v1/subscription_items"},
            **(bounds if self._is_old else {}),
        }

    def checkout(self, held: Subscription, user: str | None) -> Json:
        """Return the finished session in which a user subscribed."""
        return {
            "id": self.new_id("cs"),
            "object": "checkout.session",
            "mode": "subscription",
            "payment_status": "paid",
            "customer": held.customer,
            "subscription": held.id,
            "client_reference_id": user,
            "metadata": {},
        }

    def invoice(self, held: Subscription, reason: str, lines: Sequence[Json]) -> Json:
        """Return an invoice over these lines that nobody has paid yet."""
        invoice: Json = {
            "id": self.new_id("in"),
            "object": "invoice",
            "customer": held.customer,
            "billing_reason": reason,
            "total": sum(line["amount"] for line in lines),
            "amount_paid": 0,
            # As Stripe has it, these look back at the period before and must not be used.
            "period_start": seconds(held.start - timedelta(days=30)),
            "period_end": seconds(held.start),
            "lines": {"object": "list", "data": [*lines], "has_more": False, "url": "/v1/invoices/lines"},
        }
        if self._is_old:
            return {**invoice, "subscription": held.id, "payment_intent": f"pi_{invoice['id']}"}
        details = {"subscription": held.id, "metadata": held.metadata}
        return {**invoice, "parent": {"type": "subscription_details", "subscription_details": details}}

    def line(self, held: Subscription, *, start: datetime, proration: bool) -> Json:
        """Return the line of an invoice for a period from `start`, or for the rest of one."""
        cents = CENTS[held.price.partition("_")[0]]
        line: Json = {
            "id": self.new_id("il"),
            "object": "line_item",
            "amount": cents // 3 if proration else cents,
            "period": {"start": seconds(start), "end": seconds(held.end)},
        }
        price = f"price_{held.price}"
        if self._is_old:
            own = {"type": "subscription", "subscription": held.id, "proration": proration}
            return {**line, **own, "price": {"id": price, "object": "price", "lookup_key": held.price}}
        details = {"subscription": held.id, "proration": proration}
        parent = {"type": "subscription_item_details", "subscription_item_details": details}
        return {**line, "parent": parent, "pricing": {"type": "price_details", "price_details": {"price": price}}}

    def payment(self, invoice: Json) -> Json | None:
        """Return the payment that newer generations state beside its invoice."""
        if self._is_old:
            return None
        return {
            "id": f"inpay_{invoice['id']}",
            "object": "invoice_payment",
            "invoice": invoice["id"],
            "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": f"pi_{invoice['id']}"},
        }

    def refunded_charge(self, held: Subscription, invoice: Json, share: float) -> Json:
        """Return the charge of an invoice after this share of it was given back."""
        amount = invoice["amount_paid"]
        charge = {
            "id": f"ch_{invoice['id']}",
            "object": "charge",
            "customer": held.customer,
            "amount": amount,
            "amount_refunded": int(amount * share),
            "refunded": share >= 1.0,
            "payment_intent": f"pi_{invoice['id']}",
        }
        return {**charge, "invoice": invoice["id"]} if self._is_old else charge

    def event(self, kind: str, stated: Json, previous: Json | None, now: datetime) -> Json:
        """Return the event that tells of an object; `previous` holds what was changed, as it was."""
        return {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": self.generation,
            "created": seconds(now),
            "livemode": True,
            "pending_webhooks": 1,
            "type": kind,
            "data": {"object": stated} if previous is None else {"object": stated, "previous_attributes": previous},
        }

    @property
    def _is_old(self) -> bool:
        return self.generation in OLD_GENERATIONS


def seconds(moment: datetime | None) -> int | None:
    """Return a moment as Stripe writes it."""
    return None if moment is None else int(moment.timestamp())
