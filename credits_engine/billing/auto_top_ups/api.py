"""An account says whether packs are bought for it by themselves, and sees what came of it."""

from datetime import datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.auth.authentication import presented_token
from control_plane.platform.auth.authorization import actor
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.api.product_users import JWT_DOTS, acting_user
from credits_engine.billing.api import stripe_gateway
from credits_engine.billing.auto_top_ups import change_limit
from credits_engine.billing.auto_top_ups.orders import ACTION, order_of, wanted_of
from credits_engine.billing.auto_top_ups.rules import AutoTopUp
from credits_engine.billing.entitlements.customers import paying_customer
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.stripe_api import one_off_invoices
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeUnavailableError
from credits_engine.operations.members import membership
from credits_engine.store import accounts

CREDITS_MAX = 1_000_000_000
PER_PERIOD_MAX = 100
ORDERS_SHOWN = 20
THE_ACCOUNT = "(the account)"
QUERY = {"userId": "The account, for service tokens; a user's own token speaks for that user alone."}

bp = Blueprint("billing_auto_top_ups", __name__, url_prefix="/api/user/credits/auto-top-up")


class AutoTopUpRequest(BaseModel):
    """Below so many credits buy the pack of a price, so often in a billing period, for so much money at most."""

    model_config = ConfigDict(extra="forbid", strict=True)

    price: str = Field(min_length=1, max_length=255)
    below: int = Field(ge=1, le=CREDITS_MAX)
    maxPerPeriod: int = Field(ge=1, le=PER_PERIOD_MAX)  # noqa: N815 - the JSON name
    maxAmount: int | None = Field(None, ge=1, le=CREDITS_MAX)  # noqa: N815 - the JSON name


class AutoTopUpView(ResponseModel):
    """What an account wants, why it was stopped, and its newest orders."""

    success: bool
    data: dict[str, object]


@bp.get("")
@openapi_doc(query=QUERY, answers={200: AutoTopUpView})
def show_view() -> ResponseReturnValue:
    """Return what is bought by itself for an account, and the orders so far."""
    user_id = _account(clock.now())
    with read_only() as session:
        return jsonify({"success": True, "data": _document(session, user_id)})


@bp.put("")
@openapi_doc(query=QUERY, body=AutoTopUpRequest, answers={200: AutoTopUpView})
def put_view() -> ResponseReturnValue:
    """Let packs be bought by themselves from now on, in place of what was said before."""
    now = clock.now()
    user_id, body = _account(now), AutoTopUpRequest.model_validate(request.get_json())
    change_limit.raise_or_count(user_id)
    _refuse_unknown(user_id)
    price = _price_at_stripe(body.price)
    row = {"price": price, "below": body.below, "per_period_max": body.maxPerPeriod, "amount_max": body.maxAmount}
    with transaction() as session:
        before = _written(session, user_id)
        store.put(session, user_id, {**row, "updated_at": now, "updated_by": _speaker()})
        _record(session, user_id, now, before=before)
        return jsonify({"success": True, "data": _document(session, user_id)})


@bp.delete("")
@openapi_doc(query=QUERY, answers={200: AutoTopUpView})
def delete_view() -> ResponseReturnValue:
    """Buy nothing by itself any more. What is ordered already comes to its end."""
    now = clock.now()
    user_id = _account(now)
    with transaction() as session:
        before = _written(session, user_id)
        if store.remove(session, user_id):
            _record(session, user_id, now, before=before)
        return jsonify({"success": True, "data": _document(session, user_id)})


def _account(now: datetime) -> str:
    """Return the account that this is about. Raises Problem for a member, who does not pay for their organisation."""
    user_id = acting_user()
    if found := membership(user_id, now):
        sentence = f"Your credits are those of {found.account_id}; whoever pays for it has a service of yours ask."
        raise Problem(403, "MEMBER_OF_ORGANISATION", sentence)
    return user_id


def _refuse_unknown(user_id: str) -> None:
    with read_only() as session:
        is_known = accounts.find(session, user_id) is not None
        customer_id = paying_customer(session, user_id) if is_known else None
    if not is_known:
        raise Problem(404, "USER_NOT_FOUND", f"User {user_id[:80]!r} is not in the directory.")
    if customer_id is None:
        raise Problem(404, "NO_BILLING", f"User {user_id[:80]!r} is no customer of Stripe's yet.")


def _price_at_stripe(name: str) -> str:
    """Return the id of the price, by which invoices name it. Raises Problem where it sells no pack."""
    gateway = stripe_gateway()
    try:
        found = one_off_invoices.find_price(gateway, name)
    except (StripeUnavailableError, BreakerOpenError) as error:
        # Without Stripe's words, which are about our key: this goes to whoever uses the product.
        raise Problem(502, "STRIPE_UNAVAILABLE", "Stripe gives no answer; try again later.") from error
    price_id = str(found.get("id")) if found else ""
    if found is None or found.get("recurring"):
        raise Problem(422, "UNKNOWN_PACK", f"Stripe sells nothing once at {name[:80]!r}.")
    if find_offer(price_id) is None:
        sentence = f"Add {price_id} to the prices of packs: invoices name a price by its id."
        raise Problem(422, "UNKNOWN_PACK", sentence)
    return price_id


def _speaker() -> str:
    """Name who asks, for the audit trail: a token of ours by its name, a user of the product by no name.

    Theirs could be that of a person who works here, and an erasure leaves the names of actors as they are.
    """
    return THE_ACCOUNT if presented_token().count(".") == JWT_DOTS else actor()


def _record(session: Session, user_id: str, now: datetime, *, before: dict[str, object] | None) -> None:
    change = ChangeContext(now, _speaker(), "Asked for by the account.")
    after = _written(session, user_id)
    audit.record(session, change, action=ACTION, subject=f"user:{user_id}", before=before, after=after)


def _written(session: Session, user_id: str) -> dict[str, object] | None:
    row = store.find(session, user_id)
    return _wanted_document(wanted_of(row)) if row else None


def _wanted_document(wanted: AutoTopUp) -> dict[str, object]:
    return {
        "price": wanted.price,
        "below": wanted.below,
        "maxPerPeriod": wanted.per_period_max,
        "maxAmount": wanted.amount_max,
    }


def _document(session: Session, user_id: str) -> dict[str, object]:
    row = store.find(session, user_id)
    wanted = wanted_of(row) if row else None
    offer = find_offer(wanted.price) if wanted else None
    return {
        "enabled": wanted is not None and wanted.stopped_at is None,
        **(_wanted_document(wanted) if wanted else {}),
        "creditType": offer.kind if offer else None,
        "amount": offer.amount if offer else None,
        "stoppedAt": wanted.stopped_at.isoformat() if wanted and wanted.stopped_at else None,
        "stoppedReason": wanted.stopped_reason if wanted else None,
        "orders": [
            {
                "orderedAt": each.ordered_at.isoformat(),
                "state": each.state.value,
                "price": each.price,
                "amount": each.amount,
                "currency": each.currency,
                "invoice": each.invoice_id,
                "reason": each.reason,
            }
            for each in map(order_of, store.latest_orders(session, user_id, most=ORDERS_SHOWN))
        ],
    }
