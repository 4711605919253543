"""Whether the money of a pack that was bought by itself went back, so that no card is charged for what it returned."""

from sqlalchemy.orm import Session

from credits_engine.billing.auto_top_ups.rules import AutoTopUp
from credits_engine.billing.entitlements.given_back import DisputePolicy, charges_given_back, credited_by_notes
from credits_engine.billing.facts import CreditNote, Dispute, PackPaid, Refund
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.store import facts

ORDERS_MAX = 100


def is_money_returned(session: Session, wanted: AutoTopUp) -> bool:
    """Return whether such a payment was refunded, credited or disputed since the account said what it wants."""
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
