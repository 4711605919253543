"""Stripe's lists since a moment: events, paid invoices, refunded charges and finished checkouts, and one object each.

A fetched object becomes an event of ours under a type that the reader knows, so that it goes the way of every event.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from credits_engine.billing.facts import Fact
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.client import InvalidRequestError, StripeGateway, StripeUnavailableError
from credits_engine.billing.stripe_api.json_fields import Json, created, identifier, value_at

if TYPE_CHECKING:
    from stripe import StripeClient


@dataclass(frozen=True, slots=True)
class Listed:
    """How one kind of object is listed and fetched, and the type of event that tells of it."""

    event_type: str
    list: Callable[["StripeClient"], Callable[[Any], Any]]
    fetch: Callable[["StripeClient"], Callable[[str], object]]
    wanted: Mapping[str, object]


EVENT, INVOICE, CHARGE, CHECKOUT = "event", "invoice", "charge", "checkout"
LISTS = {
    EVENT: Listed("", lambda client: client.v1.events.list, lambda client: client.v1.events.retrieve, {}),
    INVOICE: Listed(
        "invoice.paid",
        lambda client: client.v1.invoices.list,
        lambda client: client.v1.invoices.retrieve,
        {"status": "paid"},
    ),
    CHARGE: Listed(
        "charge.refunded",
        lambda client: client.v1.refunds.list,
        lambda client: client.v1.charges.retrieve,
        {"expand": ["data.charge"]},
    ),
    CHECKOUT: Listed(
        "checkout.session.completed",
        lambda client: client.v1.checkout.sessions.list,
        lambda client: client.v1.checkout.sessions.retrieve,
        {"status": "complete"},
    ),
}


def created_since(gateway: StripeGateway, kind: str, since: datetime) -> Iterator[list[Json]]:
    """Yield pages of the objects created since a moment. Raises StripeUnavailableError and BreakerOpenError."""
    listed = LISTS[kind]
    wanted = {**listed.wanted, "created": {"gte": int(since.timestamp())}}
    for page, _ in gateway.listed(listed.list(gateway.client), wanted):
        yield page


def fetch_as_event(gateway: StripeGateway, kind: str, object_id: str, *, now: datetime) -> Json:
    """Return the object as Stripe has it now, as an event; an event as it is.

    Raises StripeUnavailableError, also where Stripe does not have it any more.
    """
    listed = LISTS[kind]
    try:
        found: Json = gateway.ask(lambda: listed.fetch(gateway.client)(object_id)).to_dict()
    except InvalidRequestError as error:
        raise StripeUnavailableError(str(error)) from error
    return found if kind == EVENT else as_event(kind, found, now)


def follow(gateway: StripeGateway, thin: Json) -> tuple[Fact, ...]:
    """Return what the object of a thin event states: by its snapshot where Stripe names one, else as it is now.

    Raises StripeUnavailableError and BreakerOpenError.
    """
    kind, related = events.thin_type(str(thin.get("type"))), value_at(thin, "related_object")
    name = identifier(related)
    if kind is None or name is None:
        return ()
    if kind in events.SUBSCRIPTION:
        return gateway.subscription(name)
    try:
        if snapshot := identifier(thin.get("snapshot_event")):
            return events.facts(gateway.ask(lambda: gateway.client.v1.events.retrieve(snapshot)).to_dict())
        found = gateway.ask(lambda: _raw(gateway.client, str(related.get("url"))))
    except InvalidRequestError as error:
        raise StripeUnavailableError(str(error)) from error
    # Its own id and time: told again by a snapshot of the same event, most facts have the same identity.
    seconds = int(created(thin).timestamp())
    return events.facts({"id": thin.get("id"), "type": kind, "created": seconds, "data": {"object": found}})


def _raw(client: "StripeClient", url: str) -> Json:
    if not url.startswith("/v1/"):
        raise StripeUnavailableError(f"A thin event points at {url[:100]!r}, which is no address of Stripe's API.")
    found: Json = json.loads(client.raw_request("get", url).body)
    return found


def as_event(kind: str, stated: Json, now: datetime) -> Json:
    """Return an object as the event that would have told of it."""
    seconds = int(now.timestamp())
    event: dict[str, object] = {
        "id": f"reconcile:{stated.get('id')}:{seconds}",
        "object": "event",
        "type": LISTS[kind].event_type,
        "created": seconds,
        "data": {"object": stated},
    }
    if "livemode" in stated:
        event["livemode"] = stated["livemode"]
    return event
