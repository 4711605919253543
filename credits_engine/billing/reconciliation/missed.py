"""What Stripe has made since the last look, and we do not know: events, payments, refunds and packs."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.platform.db.database import read_only
from credits_engine.billing.facts import Fact, Refund
from credits_engine.billing.store import accounts, facts, findings
from credits_engine.billing.store.findings import Finding
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.client import StripeGateway
from credits_engine.billing.stripe_api.json_fields import Json, UnreadableEventError, identifier
from credits_engine.billing.stripe_api.lists import CHARGE, CHECKOUT, EVENT, INVOICE, as_event, created_since

EVENTS_KEPT = timedelta(days=30)
"""Stripe's events can be listed for so long."""
ON_ITS_WAY = timedelta(minutes=10)
"""What is younger than this may still be delivered at the first try."""
MISSED_EVENT, EVENTS_GONE = "missed_event", "events_gone"
MISSED_OBJECT = {INVOICE: "missed_invoice", CHARGE: "missed_refund", CHECKOUT: "missed_pack"}


def missed_events(gateway: StripeGateway, since: datetime | None, *, now: datetime) -> Iterator[Finding]:
    """Yield every event that was missed since a moment; since the oldest that Stripe still lists where none was read.

    Raises StripeUnavailableError and BreakerOpenError.
    """
    oldest = now - EVENTS_KEPT
    if since is not None and since < oldest:
        sentence = f"Stripe lists events for 30 days; those from {since:%Y-%m-%d} to {oldest:%Y-%m-%d} were not read."
        yield Finding(EVENTS_GONE, f"{since:%Y-%m-%dT%H:%M:%SZ}", None, sentence)
    for page in created_since(gateway, EVENT, max(since or oldest, oldest)):
        yield from _events(page, now)


def missed_objects(gateway: StripeGateway, kind: str, since: datetime | None, *, now: datetime) -> Iterator[Finding]:
    """Yield every paid invoice, refund or sale since a moment that we do not know. Raises likewise."""
    oldest = now - EVENTS_KEPT
    for page in created_since(gateway, kind, max(since or oldest, oldest)):
        yield from _objects(kind, [_charge(each) if kind == CHARGE else each for each in page], now)


def _events(page: Sequence[Json], now: datetime) -> Iterator[Finding]:
    due = {str(each["id"]): each for each in page if _is_due(each, now)}
    with read_only() as session:
        missing = sorted(findings.unknown_events(session, list(due)))
    for event_id in missing:
        if fact := _unknown(due[event_id]):
            sentence = f"Stripe made {due[event_id]['type']}, and no delivery brought it."
            yield Finding(MISSED_EVENT, event_id, _user(fact), sentence)


def _objects(kind: str, page: Sequence[Json], now: datetime) -> Iterator[Finding]:
    for stated in (each for each in page if _is_due(each, now)):
        if fact := _unknown(as_event(kind, stated, now)):
            sentence = f"Stripe has {kind} {stated['id']} of {fact.at:%Y-%m-%dT%H:%M:%SZ}, and no event told us."
            yield Finding(MISSED_OBJECT[kind], str(stated["id"]), _user(fact), sentence)


def _unknown(event: Json) -> Fact | None:
    """Return a fact of the event that we do not know. An unreadable one is `dead` once it comes, and seen there."""
    try:
        stated = events.facts(event)
    except UnreadableEventError:
        return None
    with read_only() as session:
        return next((fact for fact in stated if not _is_known(session, fact)), None)


def _user(fact: Fact) -> str | None:
    customer_id = getattr(fact, "customer_id", None)
    with read_only() as session:
        known = accounts.user_of(session, customer_id) if customer_id else None
    return known or getattr(fact, "user_id", None)


def _is_known(session: Session, fact: Fact) -> bool:
    if isinstance(fact, Refund):
        if accounts.user_of(session, fact.customer_id) is None and facts.payer(session, fact) is None:
            return True  # of something that is none of ours
        known = facts.of_customer(session, fact.customer_id)
        stated = [each for each in known if isinstance(each, Refund) and each.charge_id == fact.charge_id]
        return any(each.amount_refunded == fact.amount_refunded for each in stated)
    return bool(facts.by_identity(session, [fact.identity]))


def _charge(refund: Json) -> Json:
    """Return the charge of a refund, which says how much of it was given back in all."""
    charge = refund.get("charge")
    return charge if isinstance(charge, dict) else {"id": identifier(charge), "created": refund.get("created")}


def _is_due(stated: Json, now: datetime) -> bool:
    created = stated.get("created")
    return isinstance(created, int) and created <= (now - ON_ITS_WAY).timestamp()
