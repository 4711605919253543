"""Tell the product that an account is not topped up any more."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.settings import current
from credits_engine.billing.auto_top_ups.rules import AutoTopUp
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.operations import account_books
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts, usage_webhooks

STOPPED = "credits.auto_top_up_stopped"


def notify_product(session: Session, wanted: AutoTopUp, now: datetime) -> bool:
    """Put it into the outbox of usage webhooks, where the product is told anything; returns whether it is there."""
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
