"""What rolled over of a user, and a virtual Stripe that tells what happens as time passes."""

from datetime import datetime
from typing import Any

from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import Subscription
from tests.credits_engine.billing.virtual_stripe import VirtualStripe


def held(stripe: VirtualStripe) -> Subscription:
    (subscription,) = stripe.subscriptions.values()
    return subscription


def left_over(billing: Billing, user_id: str = "ada") -> dict[str, int]:
    """Return the credits that rolled over and can still be spent, by kind."""
    return {row["kind"]: row["remaining"] for row in rolled_over(billing, user_id)}


def rolled_over(billing: Billing, user_id: str) -> list[dict[str, Any]]:
    """Return the packs of what rolled over and can still be spent, here or where that was before a merge."""
    rows = billing.rows(PACKS, user_id=user_id)
    return [row for row in rows if (row["rolled_from"] or row["merged_from"]) and row["expires_at"] > billing.now]


def process_until(billing: Billing, stripe: VirtualStripe, at: datetime) -> None:
    """Let time pass, and tell all that happened by then; what was told before changes nothing."""
    stripe.pass_time(at)
    billing.process(stripe.events, at=at)
