"""Lives of customers as events: told step by step by a virtual Stripe, alone or at random."""

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain

from credits_engine.billing.entitlements.changes import Entitlement, entitlement_at
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.facts import Fact
from credits_engine.billing.stripe_api import events
from credits_engine.engines.plans import CATALOGUE
from tests.credits_engine.billing.stripe_objects import NEW, Json, Subscription
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

PLANS = ("starter_monthly", "pro_monthly", "plus_monthly")


def facts_of(deliveries: Iterable[Json]) -> list[Fact]:
    """Return every fact that these events state."""
    return list(chain.from_iterable(events.facts(event) for event in deliveries))


def stands(deliveries: Iterable[Json], now: datetime) -> Entitlement | None:
    """Return what the user of these events is entitled to at `now`."""
    return entitlement_at(histories(facts_of(deliveries)), now, CATALOGUE)


def created(event: Json) -> datetime:
    """Return when Stripe made the event."""
    return datetime.fromtimestamp(event["created"], UTC)


def a_subscriber(user: str = "ada", generation: str = NEW) -> list[Json]:
    """Return the events of a user who subscribes to pro and pays."""
    stripe = VirtualStripe(generation, name=user)
    stripe.checkout(user, "pro_monthly")
    return stripe.events


def random_life(seed: int, *, user: str = "ada", days: int = 120, generation: str = NEW) -> VirtualStripe:
    """Return a customer who subscribes and then, every few days, does something."""
    choose = random.Random(seed)
    stripe = VirtualStripe(generation, START + timedelta(seconds=choose.randrange(86_400)), name=f"{user}x")
    subscription = stripe.checkout(user, choose.choice(PLANS))
    end = stripe.now + timedelta(days=days)
    while stripe.now < end and subscription.status != "canceled":
        stripe.pass_time(stripe.now + timedelta(days=choose.uniform(1, 12)))
        if subscription.status != "canceled":
            _act(choose, stripe, subscription)
    return stripe


def _act(choose: random.Random, stripe: VirtualStripe, subscription: Subscription) -> None:
    others = [price for price in PLANS if price != subscription.price]
    if subscription.open_invoice is not None:
        if choose.random() < 0.7:
            stripe.pay_open_invoice(subscription)
        return
    acts: dict[str, Callable[[], object]] = {
        "upgrade or downgrade": lambda: stripe.change_price(subscription, choose.choice(others)),
        "the same with a new anchor": lambda: stripe.change_price(
            subscription, choose.choice(others), move_anchor=True
        ),
        "a card expires": lambda: setattr(subscription, "card_works", False),
        "part of the money back": lambda: stripe.refund(subscription, 0.5),
        "all of it back": lambda: stripe.refund(subscription),
        "cancel or stay": lambda: (stripe.stay if subscription.ends_with_period else stripe.cancel)(subscription),
        "leave at once": lambda: stripe.cancel(subscription, at_once=True) if choose.random() < 0.3 else None,
        "nothing": lambda: None,
        "nothing at all": lambda: None,
    }
    acts[choose.choice(list(acts))]()
