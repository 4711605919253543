"""What rolled over of a user, and a virtual Stripe that tells what happens as time passes."""

from datetime import datetime
from typing import Any

from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.stripe_objects import Subscription
from tests.credits_engine.billing.virtual_stripe import VirtualStripe


def held(stripe: VirtualStripe) -> Subscription:
    (subscription,) = stripe.subscriptions.values()
    return subscription


def left_over(office: Office, user_id: str = "ada") -> dict[str, int]:
    """What can still be spent of what rolled over, by kind."""
    return {row["kind"]: row["remaining"] for row in rolled_over(office, user_id)}


def rolled_over(office: Office, user_id: str) -> list[dict[str, Any]]:
    """The packs of what rolled over and can still be spent, here or where that was before a merge."""
    rows = office.rows(PACKS, user_id=user_id)
    return [row for row in rows if (row["rolled_from"] or row["merged_from"]) and row["expires_at"] > office.now]


def told_until(office: Office, stripe: VirtualStripe, at: datetime) -> None:
    """Let time pass, and tell all that happened by then; what was told before changes nothing."""
    stripe.pass_time(at)
    office.tell(stripe.events, at=at)
