"""Whether an account is short of the credits that a pack has."""

from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing.auto_top_ups.rules import AutoTopUp
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.engines.decisions import remaining
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books
from credits_engine.operations.members import membership
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts


def short_period(session: Session, wanted: AutoTopUp, now: datetime) -> Period | None:
    """Return the billing period in which an account has fewer credits than it wants; None while it has enough.

    What counts is what the account is told: the figures of the engine that serves it, packs and all. Whoever may not
    consume at all buys nothing either, nor does a member, who consumes what their organisation has.
    """
    if membership(wanted.user_id, now):
        return None
    offer, found = find_offer(wanted.price), accounts.find(session, wanted.user_id)
    if offer is None or found is None:
        return None
    try:
        books = account_books.read_books(session, found[0], now)
    except UnknownPlanError:
        return None
    book = books.of(flag_lookup(session, now)(found[0]).engine)
    left = remaining(book.limits, book.used, bought=book.bought)[offer.kind]
    is_short = book.blocked is None and left is not None and left < wanted.below
    return books.v2.period if is_short else None


def blocked_reason(session: Session, user_id: str, now: datetime) -> str | None:
    """Return why an account may not consume; None where it may, or is not known."""
    found = accounts.find(session, user_id)
    if found is None:
        return None
    try:
        return account_books.read_books(session, found[0], now).v2.blocked
    except UnknownPlanError:
        return None
