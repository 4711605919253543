"""Corrections that somebody orders: what was missed goes into the inbox, what differs is settled from Stripe's word."""

import json
from dataclasses import dataclass
from datetime import datetime

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.billing.reconciliation.comparison import UNCORRECTABLE, correct_one
from credits_engine.billing.reconciliation.missed import EVENTS_GONE, MISSED_EVENT, MISSED_OBJECT
from credits_engine.billing.store import findings, inbox
from credits_engine.billing.store.inbox import Delivery
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeGateway, StripeUnavailableError
from credits_engine.billing.stripe_api.json_fields import Json
from credits_engine.billing.stripe_api.lists import EVENT, fetch_as_event
from credits_engine.store.tables import ResultRow

FETCHED = {MISSED_EVENT: EVENT, **{name: kind for kind, name in MISSED_OBJECT.items()}}


@dataclass(frozen=True, slots=True)
class Correction:
    """What became of a finding, as a sentence."""

    finding_id: int
    sentence: str


def apply(gateway: StripeGateway, finding_id: int, change: ChangeContext) -> Correction:
    """Correct one finding. Raises Problem: 404 and 409 where that can't be, 502 where Stripe does not answer."""
    with read_only() as session:
        found = findings.lock(session, finding_id)
    _check(found, finding_id)
    assert found is not None
    try:
        if found.kind in FETCHED:
            return _take_in(gateway, found, change)
        corrected = correct_one(gateway, found.object_id, now=change.now, actor=change.actor)
    except (StripeUnavailableError, BreakerOpenError) as error:
        raise Problem(502, "STRIPE_UNAVAILABLE", f"{error} Try again later; nothing was changed.") from error
    if corrected is not None and not corrected.is_corrected:
        raise Problem(409, "NOT_CORRECTABLE", corrected.sentence)
    sentence = corrected.sentence if corrected else "Nothing differs any more."
    return _closed(found, sentence, change)


def dismiss(finding_id: int, change: ChangeContext) -> Correction:
    """Close a finding without a correction; the next comparison opens it again where it still holds."""
    with read_only() as session:
        found = findings.lock(session, finding_id)
    if found is None or found.closed_at is not None:
        raise _unknown(finding_id)
    return _closed(found, "Closed without a correction.", change)


def _check(found: ResultRow | None, finding_id: int) -> None:
    if found is None or found.closed_at is not None:
        raise _unknown(finding_id)
    if found.kind in UNCORRECTABLE or found.kind == EVENTS_GONE:
        detail = f"{found.sentence} Stripe's word alone does not settle it; do what it says, or dismiss it."
        raise Problem(409, "NOT_CORRECTABLE", detail)


def _unknown(finding_id: int) -> Problem:
    return Problem(404, "FINDING_NOT_FOUND", f"No finding {finding_id} is open; `rollout billing findings` lists them.")


def _take_in(gateway: StripeGateway, found: ResultRow, change: ChangeContext) -> Correction:
    """Put what Stripe has into the inbox, where a worker applies it as if it had been delivered."""
    event = fetch_as_event(gateway, FETCHED[found.kind], found.object_id, now=change.now)
    with transaction() as session:
        inbox.add_delivery(session, [delivery_of(event, change.now)])
    return _closed(found, f"{event['type']} is in the inbox and will be applied.", change)


def delivery_of(event: Json, now: datetime) -> Delivery:
    """Return an event that Stripe's API answered, as one that was delivered."""
    customer_id, object_id = events.subject(event)
    return Delivery(
        event_id=str(event["id"]),
        type=str(event["type"]),
        api_version=str(event.get("api_version") or ""),
        livemode=event.get("livemode") is True,
        customer_id=customer_id,
        object_id=object_id,
        body=json.dumps(event).encode(),
        received_at=now,
    )


def _closed(found: ResultRow, sentence: str, change: ChangeContext) -> Correction:
    with transaction() as session:
        findings.close(session, found.id, now=change.now, by=change.actor)
        audit.record(
            session,
            change,
            action="billing.finding",
            subject=f"stripe:{found.object_id}",
            before={"kind": found.kind, "sentence": found.sentence},
            after={"outcome": sentence},
        )
    return Correction(found.id, sentence)
