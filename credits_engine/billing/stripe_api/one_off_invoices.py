"""An invoice of one pack, made at Stripe and paid by the card that a customer has there.

Every request that makes something has an idempotency key, and the invoice holds it as well: whoever does not know how
far an order came finds it again, also when Stripe has forgotten the key.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from credits_engine.billing.stripe_api.client import (
    CardError,
    InvalidRequestError,
    StripeGateway,
    StripeUnavailableError,
)
from credits_engine.billing.stripe_api.json_fields import Json, list_at, value_at

KEY = "auto_top_up"
"""The entry of an invoice's metadata that holds the key of the order."""


class NotPaidError(Exception):
    """Stripe would not make or take the payment, and said why."""


def find_price(gateway: StripeGateway, name: str) -> Json | None:
    """Return the price on sale of this lookup key or id. Raises StripeUnavailableError and BreakerOpenError."""
    for page, _ in gateway.listed(gateway.client.v1.prices.list, {"lookup_keys": [name], "active": True}):
        if page:
            return page[0]
    try:
        return _active(gateway.ask(lambda: gateway.client.v1.prices.retrieve(name)).to_dict())
    except InvalidRequestError:
        return None


def find_invoice(gateway: StripeGateway, customer_id: str, key: str, since: datetime) -> Json | None:
    """Return the invoice that holds this key, of those made since then. Raises likewise."""
    wanted = {"customer": customer_id, "created": {"gte": int(since.timestamp())}}
    for page, _ in gateway.listed(gateway.client.v1.invoices.list, wanted):
        for each in page:
            if value_at(each, "metadata").get(KEY) == key:
                return each
    return None


def create_invoice(gateway: StripeGateway, customer_id: str, price: Json, key: str) -> Json:
    """Make the draft of an invoice, which Stripe does not send or collect by itself. Raises NotPaidError as well."""
    params = {
        "customer": customer_id,
        "currency": price.get("currency"),
        "collection_method": "charge_automatically",
        "auto_advance": False,
        # Whatever else waits to be invoiced is no matter of this one.
        "pending_invoice_items_behavior": "exclude",
        "metadata": {KEY: key},
    }
    return _made(gateway, gateway.client.v1.invoices.create, params, f"{key}-invoice")


def complete_invoice(gateway: StripeGateway, invoice: Json, price: Json, key: str) -> Json:
    """Put the pack into a draft and finalize it: then its total is known. Raises likewise."""
    invoice_id = str(invoice.get("id"))
    if next(iter(list_at(invoice.get("lines"))), None) is None:
        params = {"customer": invoice.get("customer"), "invoice": invoice_id, "pricing": {"price": price.get("id")}}
        _made(gateway, gateway.client.v1.invoice_items.create, params, f"{key}-item")
    finalize = partial(gateway.client.v1.invoices.finalize_invoice, invoice_id)
    return _made(gateway, finalize, {"auto_advance": False}, f"{key}-finalize")


def pay_invoice(gateway: StripeGateway, invoice_id: str, key: str) -> Json:
    """Let Stripe take the money. Raises likewise."""
    return _made(gateway, partial(gateway.client.v1.invoices.pay, invoice_id), {"off_session": True}, f"{key}-pay")


def void_invoice(gateway: StripeGateway, invoice_id: str) -> Json:
    """Take an invoice back as far as it is unpaid, and return it as it stands then. Raises likewise."""
    found = retrieve_invoice(gateway, invoice_id)
    invoices = gateway.client.v1.invoices
    match found.get("status"):
        case "draft":
            return {**found, **_answer(gateway, lambda: invoices.delete(invoice_id)), "status": "void"}
        case "open":
            return _answer(gateway, lambda: invoices.void_invoice(invoice_id))
        case _:
            return found


def retrieve_invoice(gateway: StripeGateway, invoice_id: str) -> Json:
    """Return an invoice as it stands. Raises likewise."""
    return _answer(gateway, lambda: gateway.client.v1.invoices.retrieve(invoice_id))


def _made(gateway: StripeGateway, create: Callable[..., Any], params: Mapping[str, object], key: str) -> Json:
    return _answer(gateway, lambda: create(params, {"idempotency_key": key}))


def _answer(gateway: StripeGateway, call: Callable[[], object]) -> Json:
    try:
        found: Json = gateway.ask(call).to_dict()
    except CardError as error:
        raise NotPaidError(error.user_message or str(error)) from error
    except InvalidRequestError as error:
        if error.http_status == 429 or error.code == "lock_timeout":
            raise StripeUnavailableError(str(error)) from error
        raise NotPaidError(error.user_message or str(error)) from error
    return found


def _active(price: Json) -> Json | None:
    return price if price.get("active") else None
