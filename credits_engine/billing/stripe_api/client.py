"""Asking Stripe itself. Optional: without an API key everything works from the events alone.

One function asks, with its time bounded, its version pinned and a breaker around it. What comes back is a fact like
any other, dated by Stripe's own clock.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import structlog

from control_plane.platform import clock
from control_plane.platform.extensions import AppState
from credits_engine.billing.facts import Fact, Source
from credits_engine.billing.stripe_api import events, invoices
from credits_engine.billing.stripe_api.json_fields import Json, UnreadableEventError, list_at, value_at

if TYPE_CHECKING:
    import stripe

API_VERSION = "2026-10-28.endive"
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
RETRIES = 2
PAGE = 100
EXPAND = "latest_invoice"

FAILURES_MAX = 3
PAUSE_SECONDS = 30.0

log = structlog.get_logger()


class BreakerOpenError(Exception):
    """Asking is paused because it failed too often just now."""


class Breaker:
    """Lets calls through while they succeed. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._again_at = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether no request may be sent now."""
        with self._lock:
            return self._failures >= FAILURES_MAX and self._clock() < self._again_at

    def enter(self) -> None:
        """Ask for permission. Raises BreakerOpenError; after the pause one caller gets through to try."""
        with self._lock:
            if self._failures < FAILURES_MAX:
                return
            if self._clock() < self._again_at:
                raise BreakerOpenError(f"Stripe failed {self._failures} times in a row; asking again is paused.")
            # One caller tries and the others go on waiting: the pause begins anew before it asks.
            self._again_at = self._clock() + PAUSE_SECONDS

    def succeeded(self) -> None:
        """Note that the call got an answer."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """Note that the call got none."""
        with self._lock:
            self._failures += 1
            self._again_at = self._clock() + PAUSE_SECONDS


class StripeUnavailableError(Exception):
    """Stripe gave no usable answer; the message says what it was."""


class RefusedRequestError(Exception):
    """Stripe answered and would not do it; the fields are those of its answer."""

    def __init__(self, message: str, *, code: str | None, http_status: int | None, user_message: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.user_message = user_message

    @classmethod
    def of(cls, error: "stripe.StripeError") -> Self:
        """Return the official library's error as one of ours."""
        return cls(str(error), code=error.code, http_status=error.http_status, user_message=error.user_message)


class InvalidRequestError(RefusedRequestError):
    """What was asked for is not there, or not to be had like that."""


class CardError(RefusedRequestError):
    """The card that was to pay did not."""


@dataclass(frozen=True, slots=True)
class StripeGateway:
    """Stripe's own word on subscriptions."""

    client: "stripe.StripeClient"
    breaker: Breaker = field(default_factory=lambda: Breaker(time.monotonic))

    def subscription(self, subscription_id: str) -> tuple[Fact, ...]:
        """Return the subscription as it is now, with its latest invoice; empty where Stripe has none of that id.

        Raises StripeUnavailableError and BreakerOpenError.
        """
        try:
            found = self.ask(lambda: self.client.v1.subscriptions.retrieve(subscription_id, {"expand": [EXPAND]}))
        except InvalidRequestError as error:
            if error.code == "resource_missing":
                return ()
            raise StripeUnavailableError(str(error)) from error
        return facts_of(found.to_dict(), at=_answered_at(found))

    def checkout(self, event: Json) -> tuple[Fact, ...]:
        """Return the facts of a checkout once its line items are fetched, which events don't show. Raises likewise."""
        whole = self._with_lines(event, "line_items", self.client.v1.checkout.sessions.line_items.list)
        try:
            return events.facts(whole)
        except UnreadableEventError as error:
            raise StripeUnavailableError(f"Stripe's answer can't be read. {error}") from error

    def invoice(self, event: Json) -> Json:
        """Return the event of an invoice with all its lines; it shows ten at most. Raises likewise."""
        return self._with_lines(event, "lines", self.client.v1.invoices.line_items.list)

    def _with_lines(self, event: Json, name: str, lines: Callable[..., Any]) -> Json:
        stated = value_at(event, "data", "object")
        found = [page for page, _ in self.listed(partial(lines, str(stated.get("id"))), {})]
        return {**event, "data": {"object": {**stated, name: {"data": [each for page in found for each in page]}}}}

    def pages(self) -> Iterator[list[tuple[Fact, ...]]]:
        """Yield every subscription there is, ended ones too, a page at a time. Raises as `subscription` does."""
        wanted = {"status": "all", "expand": [f"data.{EXPAND}"]}
        for page, at in self.listed(self.client.v1.subscriptions.list, wanted):
            yield [facts_of(each, at=at) for each in page]

    def portal(self, customer_id: str, return_url: str) -> str:
        """Make a link by which the customer manages their subscription at Stripe. Raises as `ask` does."""
        params: Any = {"customer": customer_id, "return_url": return_url}
        return str(self.ask(partial(self.client.v1.billing_portal.sessions.create, params)).to_dict().get("url"))

    def invoice_preview(
        self, subscription_id: str, *, price: str | None, quantity: int | None, is_plan: Callable[[Json], bool]
    ) -> Json:
        """Return the next invoice of a subscription, or the one after a change of its plan. Raises as `ask` does.

        `is_plan` says of a price whether it buys a plan: other items go on as they are.
        """
        params: Any = {"subscription": subscription_id}
        if price is not None or quantity is not None:
            held = self.ask(partial(self.client.v1.subscriptions.retrieve, subscription_id)).to_dict()
            items = list(list_at(held.get("items")))
            item = next((each for each in items if is_plan(value_at(each, "price"))), next(iter(items), {}))
            change = {"price": price, "quantity": quantity}
            changed = {"id": item.get("id"), **{name: value for name, value in change.items() if value is not None}}
            params["subscription_details"] = {"items": [changed], "proration_behavior": "create_prorations"}
        found: Json = self.ask(partial(self.client.v1.invoices.create_preview, params)).to_dict()
        return found

    def prices(self) -> Iterator[Json]:
        """Yield every price that a subscription can be sold at now. Raises as `subscription` does."""
        for page, _ in self.listed(self.client.v1.prices.list, {"active": True, "type": "recurring"}):
            yield from page

    def listed(self, ask: Callable[[Any], Any], wanted: Json) -> Iterator[tuple[list[Json], datetime]]:
        """Yield the pages of a list, each with the moment of its answer."""
        after: dict[str, str] = {}
        while True:
            params = {"limit": PAGE, **wanted, **after}
            try:
                page = self.ask(partial(ask, params))
            except InvalidRequestError as error:
                raise StripeUnavailableError(str(error)) from error
            objects = [each.to_dict() for each in page.data]
            yield objects, _answered_at(page)
            if not page.has_more:
                return
            after = {"starting_after": objects[-1]["id"]}

    def ask(self, call: Callable[[], Any]) -> Any:
        """Make the call unless the breaker is open, and return its answer.

        Raises BreakerOpenError, StripeUnavailableError, InvalidRequestError and CardError.
        """
        import stripe  # noqa: PLC0415 - heavy, and nothing is asked without an API key

        self.breaker.enter()
        try:
            answer = call()
        except stripe.InvalidRequestError as error:
            self.breaker.succeeded()  # it answered: we asked for the wrong thing
            raise InvalidRequestError.of(error) from error
        except stripe.CardError as error:
            self.breaker.succeeded()  # it answered: the card is not good
            raise CardError.of(error) from error
        except stripe.StripeError as error:
            self.breaker.failed()
            log.warning("stripe.unavailable", error=type(error).__name__, status=error.http_status)
            raise StripeUnavailableError(f"{type(error).__name__}: {error}") from error
        self.breaker.succeeded()
        return answer


STRIPE_GATEWAY = AppState[StripeGateway | None]("stripe_gateway")
"""None without an API key."""


def connect(api_key: str, *, base_url: str | None = None) -> StripeGateway:
    """Return a way to ask Stripe, or whoever serves its API at `base_url`."""
    import stripe  # noqa: PLC0415 - heavy, and nothing is asked without an API key

    http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
    addresses: Any = {"api": base_url} if base_url else {}
    client = stripe.StripeClient(
        api_key,
        stripe_version=API_VERSION,
        http_client=http,
        max_network_retries=RETRIES,
        base_addresses=addresses,
    )
    return StripeGateway(client)


def facts_of(subscription: Json, *, at: datetime) -> tuple[Fact, ...]:
    """Return a fetched subscription as facts: its state, and the payment of its latest invoice if there was one."""
    found: list[Fact] = []
    seconds = int(at.timestamp())
    try:
        identity = f"fetch:{subscription.get('id')}:{seconds}"
        found.append(events.snapshot(subscription, at=at, source=Source.FETCHED, identity=identity))
        invoice = value_at(subscription, EXPAND)
        if invoice.get("status") == "paid":
            event: Json = {"id": identity, "created": seconds, "data": {"object": invoice}}
            # One that hides lines would be stored as it is, and keep out what the whole invoice states.
            found += [each for each in invoices.paid(event) if not each.is_partial]
    except UnreadableEventError as error:
        raise StripeUnavailableError(f"Stripe's answer can't be read. {error}") from error
    return tuple(found)


def price_names(price: Json) -> list[str]:
    """Return what a price of Stripe's is known by: its lookup key, where it has one, and its id."""
    return [name for name in (price.get("lookup_key"), price.get("id")) if isinstance(name, str)]


def _answered_at(answer: "stripe.StripeObject") -> datetime:
    """Return when Stripe gave this answer, by its own clock: ours may differ, and events are dated by Stripe's."""
    response = answer.last_response
    date = response.headers.get("date") or response.headers.get("Date") if response else None
    return parsedate_to_datetime(date).astimezone(UTC) if date else clock.now()
