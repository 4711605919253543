"""What has to hold before an order beside the rules: an account is short, may consume, and no money went back."""

from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing.auto_top_ups.rules import AutoTopUp
from credits_engine.billing.entitlements.given_back import DisputePolicy, charges_given_back, credited_by_notes
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.facts import CreditNote, Dispute, PackPaid, Refund
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.store import facts
from credits_engine.engines.decisions import remaining
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books
from credits_engine.operations.members import membership
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts

ORDERS_MAX = 100


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


def is_money_returned(session: Session, wanted: AutoTopUp) -> bool:
    """Return whether such a payment was refunded, credited or disputed since the account said what it wants.

    No card is charged again for what it returned.
    """
    orders = store.latest_orders(session, wanted.user_id, most=ORDERS_MAX)
    invoices = {each.invoice_id for each in orders if each.invoice_id}
    if not invoices:
        return False
    stated = facts.of_user(session, wanted.user_id)
    payments = {each.payment_intent for each in stated if isinstance(each, PackPaid) and each.invoice_id in invoices}
    # What was known when the account asked once more is no reason to stop once more.
    returns = Refund | Dispute | CreditNote
    fresh = [each for each in stated if not isinstance(each, returns) or each.at > wanted.updated_at]
    notes = credited_by_notes(fresh)
    return any(note.after > 0 for name, note in notes.items() if name in invoices) or any(
        each.invoice_id in invoices or (each.payment_intent is not None and each.payment_intent in payments)
        for each in charges_given_back(fresh, DisputePolicy.FREEZE)
        if each.refunded + each.disputed > 0
    )
