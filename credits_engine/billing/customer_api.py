"""What the product shows its customers of Stripe's: the customer portal, and what their next invoice would be."""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform.auth.authorization import require_token
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.billing.api import stripe_gateway
from credits_engine.billing.entitlements.customers import paying_customer
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.schemas import InvoicePreview, InvoicePreviewRequest, PortalLink, PortalRequest
from credits_engine.billing.store import accounts
from credits_engine.billing.stripe_api.client import (
    BreakerOpenError,
    InvalidRequestError,
    StripeUnavailableError,
    price_names,
)
from credits_engine.billing.stripe_api.json_fields import Json, list_at

bp = Blueprint("billing_customers", __name__, url_prefix="/api/billing/users")

Answer = TypeVar("Answer")


@bp.post("/<user_id>/portal")
@require_token("service", "admin")
@openapi_doc(body=PortalRequest, answers={200: PortalLink})
def portal_view(user_id: str) -> ResponseReturnValue:
    """Return a link to Stripe's customer portal for a user, good for some minutes; they come back to `returnUrl`."""
    body = PortalRequest.model_validate(request.get_json())
    if urlsplit(body.returnUrl).scheme not in ("https", "http"):
        raise Problem(422, "INVALID_URL", "returnUrl is the address of a page of yours, and begins with https.")
    customer_id = _customer(user_id)
    return jsonify({"url": _answer(lambda: stripe_gateway().portal(customer_id, body.returnUrl))})


@bp.post("/<user_id>/invoice-preview")
@require_token("service", "admin")
@openapi_doc(body=InvoicePreviewRequest, answers={200: InvoicePreview})
def preview_view(user_id: str) -> ResponseReturnValue:
    """Return a user's next invoice, or the one that another price or quantity would make. Changes nothing."""
    body = InvoicePreviewRequest.model_validate(request.get_json())
    with read_only() as session:
        account = accounts.show_account(session, user_id)
    name = account.subscription_id if account else None
    if name is None:
        raise Problem(404, "NO_SUBSCRIPTION", f"No subscription of user {user_id[:80]!r} is known.")
    gateway = stripe_gateway()
    found = _answer(lambda: gateway.invoice_preview(name, price=body.price, quantity=body.quantity, is_plan=_buys_plan))
    return jsonify(_preview(found))


def _buys_plan(price: Json) -> bool:
    return any(catalogue().has_price(name) for name in price_names(price))


def _customer(user_id: str) -> str:
    """Return the customer who pays for a user. Raises Problem."""
    with read_only() as session:
        found = paying_customer(session, user_id)
    if found is None:
        raise Problem(404, "NO_BILLING", f"User {user_id[:80]!r} is no customer of Stripe's yet.")
    return found


def _preview(invoice: Json) -> dict[str, object]:
    lines = [
        {"description": line.get("description"), "amount": line.get("amount")} for line in list_at(invoice.get("lines"))
    ]
    return {"currency": invoice.get("currency"), "total": invoice.get("total"), "lines": lines}


def _answer(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except InvalidRequestError as error:
        raise Problem(422, "REFUSED_BY_STRIPE", f"Stripe refuses it: {error.user_message or error}") from error
    except (StripeUnavailableError, BreakerOpenError) as error:
        raise Problem(502, "STRIPE_UNAVAILABLE", f"{error} Try again later.") from error
