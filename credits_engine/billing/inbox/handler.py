"""One event of Stripe applied: its facts are stored and the user is synced with them, or nothing is done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from control_plane.platform import settings
from control_plane.platform.auth import erasures
from credits_engine.billing import metrics
from credits_engine.billing.entitlements import purchases
from credits_engine.billing.entitlements.plan_of_prices import UnmappedPriceError
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.entitlements.sync import SyncState, sync_user
from credits_engine.billing.facts import (
    Dispute,
    Fact,
    InvoicePaid,
    Link,
    PackPaid,
    RefundFailed,
    Snapshot,
    Source,
)
from credits_engine.billing.inbox.verification import check_origin
from credits_engine.billing.store import accounts, inbox, merges
from credits_engine.billing.store import facts as fact_rows
from credits_engine.billing.store.inbox import Claim, Outcome, State
from credits_engine.billing.stripe_api import checkouts, events
from credits_engine.billing.stripe_api.invoices import hides_lines, sold_once
from credits_engine.billing.stripe_api.json_fields import Json, UnreadableEventError, loads

CUSTOMER = "customer:"
PRICE = "price:"
STRIPE = "stripe:"
PAYMENT = "payment:"
UNKNOWN_QUANTITY = (
    "How many packs were paid for is not known, since the event shows no line items. Set STRIPE_API_KEY, so that we "
    "can ask Stripe, or put the price of one into the metadata (credit_pack_unit_amount)."
)
UNKNOWN_LINES = (
    "The invoice has more lines than the event shows, and none of those shown is for its subscription. "
    "Set STRIPE_API_KEY, so that we can ask Stripe for the others."
)
NO_PACK = "This checkout names no pack that is on sale."
NOT_ASKED = "With STRIPE_API_KEY its lines would have been asked for as well."


class LinkConflictError(ValueError):
    """An event says that a customer is another user than the one we know them as."""


class LostClaimError(Exception):
    """The lease ran out and another worker has the event; nothing of this attempt may be committed."""


def decode(claim: Claim) -> tuple[Fact, ...]:
    """Return the facts of a claimed event. Raises UnreadableEventError."""
    if claim.body is None:
        raise UnreadableEventError("no_body", "The body of this event was dropped after its time; it can't be read.")
    try:
        event = loads(claim.body)
    except (ValueError, RecursionError) as error:
        raise UnreadableEventError("no_json", f"The stored body is no JSON: {error}.") from error
    event = event if isinstance(event, dict) else {}
    check_origin(event, settings.current())
    return (*events.facts(event), *packs_sold(event))


def packs_sold(event: Json) -> tuple[PackPaid, ...]:
    """Return the packs on sale that a paid invoice sold; a setup fee grants nothing, and waits for nothing."""
    return tuple(fact for fact in sold_once(event) if find_offer(fact.price))


def handle(
    session: Session, claim: Claim, stated: Sequence[Fact], *, now: datetime, fetched: Sequence[Fact] | None = None
) -> Outcome:
    """Store the facts, sync the user they are about and finish the event, in the caller's transaction.

    `fetched` are facts that resolve a doubt about this event; None where nobody could be asked.
    Raises LinkConflictError, UnmappedPriceError and LostClaimError; then nothing may be committed.
    """
    outcome = _handle(session, claim, stated, now=now, fetched=fetched)
    if not inbox.finish(session, claim, outcome, now=now):
        raise LostClaimError(f"Event {claim.event_id} is being worked on by somebody else.")
    return outcome


def parked_for(error: UnmappedPriceError) -> Outcome:
    """Return the outcome of an event about a price that buys nothing we know: parked until the catalogue has it."""
    return Outcome(State.PARKED, str(error), f"{PRICE}{error.price}")


def _handle(
    session: Session, claim: Claim, stated: Sequence[Fact], *, now: datetime, fetched: Sequence[Fact] | None
) -> Outcome:
    was_fetched, fetched = fetched is not None, fetched or ()
    if not stated:
        stated, fetched = fetched, ()
    stated = _completed(stated, fetched)
    if left := _without_effect(claim, stated, was_fetched=was_fetched):
        return left
    customer_id = _customer(session, stated)
    if customer_id is None:
        return _without_customer(session, claim, stated, now)
    stated = [_of_customer(fact, customer_id) for fact in stated]
    user_id = _user(session, customer_id, stated, now=now, by=claim.event_id)
    if user_id is None:
        sentence = (
            f"Customer {customer_id} is not linked to a user yet; "
            "a checkout, metadata or `rollout billing link` does that."
        )
        return Outcome(State.PARKED, sentence, f"{CUSTOMER}{customer_id}")
    if erasures.is_pseudonym(session, user_id):
        # Their metadata goes on naming who they were, and the body of the event holds more of it.
        stated, fetched = _without_person(stated, user_id), _without_person(fetched, user_id)
        inbox.drop_body(session, claim.event_id)
    # Facts of an attempt that failed are gone with its transaction, so what is fresh here has had no effect yet.
    fresh = [fact for fact in (*stated, *fetched) if fact_rows.add(session, fact, event_id=claim.event_id)]
    # Stripe sends some facts with two events (`invoice.paid`, `invoice.payment_succeeded`): the second changes nothing.
    if not fresh and claim.attempt == 1:
        _report_duplicates(session, claim, stated)
        return Outcome(State.APPLIED, "An earlier event said the same.")
    _release_payments(session, fresh, now)
    metrics.report_money(session, fresh)
    state = sync_user(session, user_id, now=now, cause=claim.event_id)
    if purchases.concerns(stated):
        bought = purchases.sync_packs(session, user_id, now=now, cause=claim.event_id)
        state = replace(state, changes=(*state.changes, *bought))
    return _outcome(stated, state, user_id)


def _without_person(facts: Sequence[Any], pseudonym: str) -> Sequence[Fact]:
    return [replace(fact, user_id=pseudonym) if getattr(fact, "user_id", None) else fact for fact in facts]


def _without_effect(claim: Claim, stated: Sequence[Fact], *, was_fetched: bool) -> Outcome | None:
    """Return the outcome of an event that states nothing, or not enough; None for one that has effects."""
    if any(isinstance(fact, PackPaid) and not fact.quantity for fact in stated):
        return Outcome(State.PARKED, UNKNOWN_QUANTITY, STRIPE)
    if _hides_what_counts(claim, stated, was_fetched=was_fetched):
        return Outcome(State.PARKED, UNKNOWN_LINES, STRIPE)
    if stated:
        return None
    if events.thin_type(claim.type) and not was_fetched:
        return Outcome(State.PARKED, "A thin event is only a pointer; STRIPE_API_KEY lets us follow it.", STRIPE)
    if checkouts.is_sale(loads(claim.body or b"{}")):
        return Outcome(State.IGNORED, NO_PACK if was_fetched else f"{NO_PACK} {NOT_ASKED}")
    return Outcome(State.IGNORED, f"Credits do not depend on {claim.type}.")


def _hides_what_counts(claim: Claim, stated: Sequence[Fact], *, was_fetched: bool) -> bool:
    """Return whether an invoice shows no line of its subscription, or is of none, so that packs alone may be hidden."""
    payments = [fact for fact in stated if isinstance(fact, InvoicePaid)]
    if payments:
        return any(fact.is_partial and not fact.period for fact in payments)
    return not was_fetched and hides_lines(loads(claim.body or b"{}"))


def _completed(stated: Sequence[Fact], fetched: Sequence[Fact]) -> Sequence[Fact]:
    """Add what Stripe states and the event left out: the number of packs, the other lines of an invoice."""
    by_identity = {fact.identity: fact for fact in fetched if isinstance(fact, PackPaid | InvoicePaid)}
    completed = [
        by_identity.get(fact.identity, fact) if isinstance(fact, PackPaid | InvoicePaid) else fact for fact in stated
    ]
    known = {fact.identity for fact in stated}
    return [*completed, *(each for each in fetched if isinstance(each, PackPaid) and each.identity not in known)]


def _report_duplicates(session: Session, claim: Claim, stated: Sequence[Fact]) -> None:
    """Report what was applied twice: at its first attempt an event can't have told it, unless its end got lost."""
    if claim.event_id in fact_rows.sources(session, [fact.identity for fact in stated]):
        metrics.trip(session, metrics.APPLIED_TWICE, stripe_event=claim.event_id)


def _customer(session: Session, stated: Sequence[Fact]) -> str | None:
    """Return the customer of the facts; some name only a payment, and whoever made it may not be known yet."""
    for fact in stated:
        if customer_id := getattr(fact, "customer_id", None) or fact_rows.payer(session, fact):
            return str(customer_id)
    return None


def _of_customer(fact: Fact, customer_id: str) -> Fact:
    return replace(fact, customer_id=customer_id) if isinstance(fact, RefundFailed | Dispute) else fact


def _without_customer(session: Session, claim: Claim, stated: Sequence[Fact], now: datetime) -> Outcome:
    """Store payments until their invoice comes; let what was asked back of one wait in the inbox."""
    for fact in stated:
        if isinstance(fact, RefundFailed | Dispute):
            sentence = "Nothing that we know was bought with this payment; it takes effect once that is known."
            name = fact_rows.reference(session, fact.payment_intent) if fact.payment_intent else fact.charge_id
            return Outcome(State.PARKED, sentence, f"{PAYMENT}{name}")
        fact_rows.add(session, fact, event_id=claim.event_id)
    _release_payments(session, stated, now)
    return Outcome(State.APPLIED, "Stored; it takes effect once its invoice is known.")


def _release_payments(session: Session, fresh: Sequence[Fact], now: datetime) -> None:
    """Let events go on that waited for one of these payments or invoices."""
    names = {name for fact in fresh if (name := getattr(fact, "payment_intent", None))}
    names |= {fact.invoice_id for fact in fresh if isinstance(fact, InvoicePaid | PackPaid) and fact.invoice_id}
    for name in sorted(names):
        inbox.release(session, f"{PAYMENT}{name}", now=now)


def _user(session: Session, customer_id: str, stated: Sequence[Fact], *, now: datetime, by: str) -> str | None:
    """Return the user of the customer, linking them where the facts say so; events that waited for it go on."""
    # The customer is locked first, then the account, then the books: the order of every transaction of billing.
    known = accounts.lock_customer(session, customer_id)
    named = {name for fact in stated if (name := getattr(fact, "user_id", None))}
    user_ids = {merges.current(session, name) for name in named}
    if not user_ids:
        return known
    if len(user_ids) > 1 or known not in (None, *user_ids):
        raise LinkConflictError(
            f"Customer {customer_id} is user {known}, and the event names {', '.join(sorted(user_ids))}; "
            "correct the metadata in Stripe, or `rollout billing merge` the users."
        )
    (user_id,) = user_ids
    if known is None:
        accounts.link(session, customer_id, user_id, now=now, by=by)
        inbox.release(session, f"{CUSTOMER}{customer_id}", now=now)
    return user_id


def _outcome(stated: Sequence[Fact], state: SyncState, user_id: str) -> Outcome:
    changes = " ".join(state.changes)
    if newer := _newer(stated, state):
        at = f"{newer.at:%Y-%m-%dT%H:%M:%SZ}"
        sentence = (
            f"Subscription {newer.subscription_id} is known as of {at}, which is later than this event. {changes}"
        )
        return Outcome(State.SUPERSEDED, sentence.strip())
    if changes:
        return Outcome(State.APPLIED, changes)
    if all(isinstance(fact, Link) for fact in stated):
        return Outcome(State.APPLIED, f"The customer is user {user_id}.")
    if any(isinstance(fact, PackPaid) for fact in stated):
        return Outcome(State.APPLIED, "This purchase is known already.")
    if state.entitlement is None:
        return Outcome(State.APPLIED, "Stored; no subscription grants anything yet.")
    return Outcome(State.APPLIED, f"Confirmed. {state.entitlement.reason}")


def _newer(stated: Sequence[Fact], state: SyncState) -> Snapshot | None:
    """Return the snapshot that stands above the one of this event, if it tells something else."""
    own = next((f for f in stated if isinstance(f, Snapshot) and f.source is not Source.BEFORE), None)
    if own is None:
        return None
    for history in state.histories:
        if history.subscription_id == own.subscription_id:
            newest = history.newest
            return newest if newest.identity != own.identity and newest.content != own.content else None
    return None
