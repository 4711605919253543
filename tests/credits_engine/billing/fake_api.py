"""The part of Stripe's API that we call, over real HTTP, answering from a virtual Stripe and failing to order."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.credits_engine.billing.fake_invoicing import CENTS, Invoicing
from tests.credits_engine.billing.stripe_objects import Json, Subscription
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

KEY = "sk_test_of_the_tests"


@dataclass
class FakeApi:
    """A fake of Stripe's API: its URL, the requests it got, and how it is to fail next."""

    stripe: VirtualStripe
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and API version of each request."""
    posted: list[str] = field(default_factory=list)
    """The path of each request that makes something."""
    statuses: list[int] = field(default_factory=list)
    """Answer the next requests with these instead; 0 closes the connection without an answer."""
    delay_seconds: float = 0.0
    lines: dict[str, list[Json]] = field(default_factory=dict)
    """The lines of each checkout."""
    invoice_lines: dict[str, list[Json]] = field(default_factory=dict)
    """The lines of each invoice."""
    prices: tuple[str, ...] = ("starter_monthly", "pro_monthly", "plus_monthly")
    packs: tuple[str, ...] = ()
    """Prices that are paid once, by lookup key."""

    def __post_init__(self) -> None:
        self.invoicing = Invoicing(self.stripe)

    def answer(self, path: str, key: str | None) -> tuple[int, Json]:
        """Answer a request as Stripe would."""
        parts = urlsplit(path)
        if key != f"Bearer {KEY}":
            return 401, _error("invalid_request_error", "Invalid API Key provided")
        if invoiced := self._of_one_off(parts.path, parse_qs(parts.query)):
            return invoiced
        if found := re.fullmatch(r"/v1/subscriptions(?:/(\w+))?", parts.path):
            return self._subscription(found[1]) if found[1] else (200, self._page(parse_qs(parts.query)))
        if found := re.fullmatch(r"/v1/(events|invoices|charges|refunds|checkout/sessions)(?:/(\w+))?", parts.path):
            return self._stated(found[1], found[2], parse_qs(parts.query))
        listed = {f"/v1/checkout/sessions/{session}/line_items": lines for session, lines in self.lines.items()}
        listed |= {f"/v1/invoices/{invoice}/lines": lines for invoice, lines in self.invoice_lines.items()}
        listed["/v1/prices"] = [{"id": f"price_{key}", "object": "price", "lookup_key": key} for key in self.prices]
        if parts.path in listed:
            return 200, {"object": "list", "url": parts.path, "has_more": False, "data": listed[parts.path]}
        return 404, _error("invalid_request_error", f"Unrecognized request URL ({path})")

    def created(self, path: str, form: dict[str, list[str]]) -> tuple[int, Json]:
        """Answer a request that makes something as Stripe would."""
        customer, subscription = form.get("customer", [""])[0], form.get("subscription", [""])[0]
        if path == "/v1/billing_portal/sessions" and customer in {
            each.customer for each in self.stripe.subscriptions.values()
        }:
            return 200, {"id": "bps_1", "object": "billing_portal.session", "url": f"https://stripe.test/{customer}"}
        if path == "/v1/invoices/create_preview" and subscription in self.stripe.subscriptions:
            seats = int(form.get("subscription_details[items][0][quantity]", ["1"])[0])
            changed = form.get("subscription_details[items][0][id]", ["it"])[0]
            lines = {"object": "list", "data": [{"description": f"{seats} seats of {changed}", "amount": 2900 * seats}]}
            return 200, {"object": "invoice", "currency": "eur", "total": 2900 * seats, "lines": lines}
        return 404, _error("invalid_request_error", f"No such object: {customer or subscription}", "resource_missing")

    def _of_one_off(self, path: str, query: dict[str, list[str]]) -> tuple[int, Json] | None:
        """Answer a request about prices that are paid once, or the invoices for them."""
        if path.startswith("/v1/prices/") or "lookup_keys[0]" in query:
            return self._pack(path, query.get("lookup_keys[0]", [""])[0])
        return self.invoicing.got(path, query.get("customer", [None])[0])

    def _pack(self, path: str, lookup_key: str) -> tuple[int, Json]:
        """Return a price that is paid once, by its id or its lookup key."""
        found = [
            {"id": f"price_{key}", "object": "price", "lookup_key": key, "active": True, "currency": "eur"}
            | {"unit_amount": CENTS, "recurring": None if key in self.packs else {"interval": "month"}}
            for key in (*self.packs, *self.prices)
        ]
        if lookup_key:
            own = [each for each in found if each["lookup_key"] == lookup_key]
            return 200, {"object": "list", "url": path, "has_more": False, "data": own}
        named = next((each for each in found if path == f"/v1/prices/{each['id']}"), None)
        missing = _error("invalid_request_error", "No such price", "resource_missing")
        return (200, named) if named else (404, missing)

    def _subscription(self, name: str) -> tuple[int, Json]:
        subscription = self.stripe.subscriptions.get(name)
        if subscription is None:
            return 404, _error("invalid_request_error", f"No such subscription: '{name}'", "resource_missing")
        return 200, self._object(subscription)

    def _stated(self, kind: str, name: str | None, query: dict[str, list[str]]) -> tuple[int, Json]:
        """Answer with the objects as the events so far state them, those that are recent enough."""
        objects = {each["id"]: each for each in self._of(kind)}
        if name is not None:
            missing = _error("invalid_request_error", f"No such object: {name!r}", "resource_missing")
            return (200, objects[name]) if name in objects else (404, missing)
        since = int(query.get("created[gte]", ["0"])[0])
        newest = [each for each in reversed(objects.values()) if each["created"] >= since]
        after = query.get("starting_after", [""])[0]
        start = next((place + 1 for place, each in enumerate(newest) if each["id"] == after), 0)
        limit = int(query.get("limit", ["10"])[0])
        page = {"data": newest[start : start + limit], "has_more": start + limit < len(newest)}
        return 200, {"object": "list", "url": f"/v1/{kind}", **page}

    def _of(self, kind: str) -> list[Json]:
        if kind == "events":
            return self.stripe.events
        type_, id_ = {
            "invoices": ("invoice.paid", "{id}"),
            "charges": ("charge.refunded", "{id}"),
            "refunds": ("charge.refunded", "re_{id}_{amount_refunded}"),
            "checkout/sessions": ("checkout.session.completed", "{id}"),
        }[kind]
        told = [each for each in self.stripe.events if each["type"] == type_]
        objects = [{"created": each["created"], **each["data"]["object"]} for each in told]
        if kind == "refunds":
            return [{**each, "id": id_.format(**each), "object": "refund", "charge": each} for each in objects]
        return objects

    def _page(self, query: dict[str, list[str]]) -> Json:
        everything = list(reversed(self.stripe.subscriptions.values()))
        after = query.get("starting_after", [""])[0]
        start = next((place + 1 for place, each in enumerate(everything) if each.id == after), 0)
        limit = int(query.get("limit", ["10"])[0])
        page = everything[start : start + limit]
        return {
            "object": "list",
            "url": "/v1/subscriptions",
            "has_more": start + limit < len(everything),
            "data": [self._object(each) for each in page],
        }

    def _object(self, subscription: Subscription) -> Json:
        invoice = subscription.open_invoice or subscription.last_invoice
        return {**self.stripe.object(subscription), "latest_invoice": invoice}


@contextmanager
def serving(stripe: VirtualStripe) -> Iterator[FakeApi]:
    """Yield a fake API on a port of its own while the block lasts."""
    api = FakeApi(stripe)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            form, path = parse_qs(self.rfile.read(length).decode()), urlsplit(self.path).path
            api.posted.append(path)
            invoiced = api.invoicing.posted(path, form, self.headers.get("Idempotency-Key"))
            last = path.rpartition("/")[2]
            if last in api.invoicing.lost:
                api.invoicing.lost.remove(last)
                self.close_connection = True
                return
            self._reply(*(invoiced or api.created(path, form)))

        def do_DELETE(self) -> None:
            self._reply(*api.invoicing.deleted(urlsplit(self.path).path))

        def do_GET(self) -> None:
            api.asked.append((unquote(self.path), self.headers.get("Stripe-Version")))
            time.sleep(api.delay_seconds)
            status = api.statuses.pop(0) if api.statuses else None
            if status == 0:
                self.close_connection = True
                return
            status, document = (
                api.answer(self.path, self.headers.get("Authorization"))
                if status is None
                else (status, _error("api_error", "Ordered to fail"))
            )
            self._reply(status, document)

        def _reply(self, status: int, document: Json) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - the base's signature
            return format_datetime(api.stripe.now.astimezone(UTC), usegmt=True)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _error(kind: str, message: str, code: str | None = None) -> Json:
    return {"error": {"type": kind, "message": message, "code": code}}
