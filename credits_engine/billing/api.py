"""Billing over JSON, for the page and for operators' scripts."""

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.billing import price_administration, serializers
from credits_engine.billing.inbox import commands, merges
from credits_engine.billing.reconciliation import corrections
from credits_engine.billing.reconciliation.comparison import Discrepancy, reconcile
from credits_engine.billing.schemas import (
    EventReasonRequest,
    LinkRequest,
    MergeRequest,
    PricesRequest,
    ReconcileRequest,
)
from credits_engine.billing.store import accounts, inbox_queries
from credits_engine.billing.store.inbox import State
from credits_engine.billing.stripe_api.client import (
    STRIPE_GATEWAY,
    BreakerOpenError,
    StripeGateway,
    StripeUnavailableError,
)

PAGE_MAX = 200

bp = Blueprint("billing", __name__, url_prefix="/api/billing")


@bp.get("")
@require_role("viewer")
def summary_view() -> ResponseReturnValue:
    """Return the backlog, its age, and the events of the last day."""
    with read_only() as session:
        return jsonify(serializers.summary(session, clock.now()))


@bp.get("/events")
@require_role("viewer")
def events_view() -> ResponseReturnValue:
    """List events, newest first: `state`, `limit` up to 200, and `before`, the number of the last one seen."""
    state = _state(request.args["state"]) if "state" in request.args else None
    limit, before = _number("limit", 50), _number("before", 0)
    with read_only() as session:
        rows = inbox_queries.page(session, state=state, before_id=before or None, limit=min(limit, PAGE_MAX) + 1)
    rows_of_page = rows[: min(limit, PAGE_MAX)]
    more = rows_of_page[-1].id if len(rows) > len(rows_of_page) and rows_of_page else None
    return jsonify({"events": [serializers.event(row) for row in rows_of_page], "next": more})


@bp.get("/events/<event_id>")
@require_role("operator")
def event_view(event_id: str) -> ResponseReturnValue:
    """Return one event with its body, which holds customers' data."""
    with read_only() as session:
        row = inbox_queries.event(session, event_id)
        if row is None:
            raise Problem(404, "EVENT_NOT_FOUND", f"The inbox holds no event {event_id[:80]!r}.")
        return jsonify(serializers.event_in_full(session, row))


@bp.post("/events/<event_id>/replay")
@require_role("operator")
def replay_view(event_id: str) -> ResponseReturnValue:
    """Apply one event once more."""
    body = EventReasonRequest.model_validate(request.get_json())
    with transaction() as session:
        commands.replay(session, event_id, now=clock.now(), actor=actor(), reason=body.reason)
    return jsonify({"replayed": [event_id]}), 202


@bp.post("/replay/<state>")
@require_role("operator")
def replay_all_view(state: str) -> ResponseReturnValue:
    """Apply every `parked` or every `dead` event once more."""
    body = EventReasonRequest.model_validate(request.get_json())
    wanted = _state(state, among=(State.PARKED, State.DEAD))
    with transaction() as session:
        found = commands.replay_all(session, wanted, now=clock.now(), actor=actor(), reason=body.reason)
    return jsonify({"replayed": found}), 202


@bp.get("/users/<user_id>")
@require_role("viewer")
def user_view(user_id: str) -> ResponseReturnValue:
    """Return a user's entitlement, and the newest events about them."""
    with read_only() as session:
        found = accounts.show_account(session, user_id)
        if found is None:
            raise Problem(404, "NO_BILLING", f"No event from Stripe has been about user {user_id[:80]!r}.")
        return jsonify(serializers.account(session, found))


@bp.post("/users/<user_id>/merge")
@require_role("owner")
def merge_view(user_id: str) -> ResponseReturnValue:
    """Make the customers of one user those of another one."""
    body = MergeRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    with transaction() as session:
        changes = merges.merge(session, user_id, body.into, change)
    return jsonify({"userId": user_id, "into": body.into, "changes": changes})


@bp.post("/customers/<customer_id>/link")
@require_role("owner")
def link_view(customer_id: str) -> ResponseReturnValue:
    """Say which user a customer of Stripe is; the events that waited for it go on."""
    body = LinkRequest.model_validate(request.get_json())
    with transaction() as session:
        released = commands.link(session, customer_id, body.userId, now=clock.now(), actor=actor(), reason=body.reason)
    return jsonify({"customer": customer_id, "userId": body.userId, "released": released})


@bp.post("/reconcile")
@require_role("owner")
def reconcile_view() -> ResponseReturnValue:
    """Compare with Stripe, and with `apply` correct."""
    body = ReconcileRequest.model_validate(request.get_json())
    compared, findings = 0, []
    try:
        for each in reconcile(stripe_gateway(), now=clock.now(), actor=actor(), correct=body.apply):
            if isinstance(each, Discrepancy):
                findings.append(each)
            else:
                compared += each
    except (StripeUnavailableError, BreakerOpenError) as error:
        raise Problem(502, "STRIPE_UNAVAILABLE", f"{error} Try again later; what was corrected stays so.") from error
    return jsonify(serializers.report(findings, compared))


@bp.get("/findings")
@require_role("viewer")
def findings_view() -> ResponseReturnValue:
    """Return what differs from Stripe and nobody has closed, and when was compared last."""
    with read_only() as session:
        return jsonify(serializers.findings_page(session, limit=PAGE_MAX))


@bp.post("/findings/<int:finding_id>/apply")
@require_role("owner")
def apply_view(finding_id: int) -> ResponseReturnValue:
    """Correct one finding from Stripe's word."""
    body = EventReasonRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    return jsonify(serializers.correction(corrections.apply(stripe_gateway(), finding_id, change)))


@bp.post("/findings/<int:finding_id>/dismiss")
@require_role("owner")
def dismiss_view(finding_id: int) -> ResponseReturnValue:
    """Close one finding without a correction."""
    body = EventReasonRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    return jsonify(serializers.correction(corrections.dismiss(finding_id, change)))


@bp.get("/prices")
@require_role("viewer")
def prices_view() -> ResponseReturnValue:
    """Return the prices that were added, as YAML."""
    with read_only() as session:
        return jsonify({"prices": price_administration.exported(session)})


@bp.post("/prices/preview")
@require_role("viewer")
def prices_preview_view() -> ResponseReturnValue:
    """Say what applying these prices would do; Stripe is asked which of them it sells, with an API key."""
    body = PricesRequest.model_validate(request.get_json())
    try:
        with read_only() as session:
            found = price_administration.difference(
                session, price_administration.parsed(body.prices), clock.now(), gateway=STRIPE_GATEWAY.get()
            )
    except (StripeUnavailableError, BreakerOpenError) as error:
        raise Problem(502, "STRIPE_UNAVAILABLE", f"{error} Try again later.") from error
    return jsonify(serializers.prices_difference(found))


@bp.post("/prices")
@require_role("owner")
def prices_apply_view() -> ResponseReturnValue:
    """Add the prices that are new."""
    body = PricesRequest.model_validate(request.get_json())
    with transaction() as session:
        change = ChangeContext(clock.now(), actor(), body.reason)
        found = price_administration.apply(session, price_administration.parsed(body.prices), change)
    return jsonify(serializers.prices_difference(found))


def stripe_gateway() -> StripeGateway:
    """Return the running application's way to ask Stripe. Raises Problem without an API key."""
    found = STRIPE_GATEWAY.get()
    if found is None:
        raise Problem(409, "NO_STRIPE_KEY", "Set STRIPE_API_KEY to a restricted key that may read subscriptions.")
    return found


def _state(name: str, among: tuple[State, ...] = tuple(State)) -> State:
    if name not in among:
        raise Problem(422, "UNKNOWN_STATE", f"There is no state {name[:40]!r} here; use {', '.join(among)}.")
    return State(name)


def _number(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Problem(422, "INVALID_NUMBER", f"{name} is {text[:40]!r}; write a whole number.")
    return int(text)
