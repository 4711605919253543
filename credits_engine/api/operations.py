"""The credits over HTTP: services consume for users, users see what they have."""

from datetime import UTC, datetime

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform.auth.authorization import actor, require_token
from control_plane.platform.db.database import autocommit, read_only, transaction
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem, respond
from credits_engine.administration.corrections import CorrectionRefused
from credits_engine.administration.top_ups import UnknownPackError
from credits_engine.aftermath.approving import ApprovalRefused, UnknownReportError
from credits_engine.api import administration, bodies, presentation, product_users, review, users
from credits_engine.api.product_users import acting_user
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import books, reservations
from credits_engine.operations.consumption import KeyConflictError, LostRaceError, UnknownUserError
from credits_engine.operations.reservations import CommitTooLargeError, SettledOtherwiseError, UnknownReservationError
from credits_engine.operations.routing import is_v2_on, look_up_flag
from credits_engine.operations.serving import serve, serve_reservation
from credits_engine.store import reservations as reservation_rows
from credits_engine.store.reservations import ReservationState

bp = Blueprint("credits", __name__, url_prefix="/api")

REFUSALS = {
    UnknownUserError: (422, "UNKNOWN_USER"),
    UnknownPlanError: (422, "UNKNOWN_PLAN"),
    KeyConflictError: (409, "IDEMPOTENCY_KEY_REUSED"),
    LostRaceError: (409, "IDEMPOTENCY_KEY_BUSY"),
    UnknownReservationError: (404, "UNKNOWN_RESERVATION"),
    SettledOtherwiseError: (409, "RESERVATION_SETTLED"),
    CommitTooLargeError: (422, "COMMIT_TOO_LARGE"),
    CorrectionRefused: (409, "CORRECTION_REFUSED"),
    UnknownPackError: (404, "UNKNOWN_PACK"),
    UnknownReportError: (404, "UNKNOWN_ROLLBACK_REPORT"),
    ApprovalRefused: (422, "INVALID_REASON"),
}


@bp.post("/credits/consume")
@require_token("service", "admin")
def consume_view() -> ResponseReturnValue:
    """Take credits for a user: 200 with a receipt, or 402, 403, 409, 422 or 503 as a problem."""
    receipt = serve(bodies.operation(actor=actor()), now=datetime.now(UTC))
    if problem := presentation.refusal(receipt):
        raise problem
    return jsonify(presentation.receipt_document(receipt)), presentation.headers(receipt)


@bp.post("/credits/reserve")
@require_token("service", "admin")
def reserve_view() -> ResponseReturnValue:
    """Hold credits for work that takes time; answers like consume, and says how the reservation stands."""
    operation, ttl = bodies.reservation(actor=actor())
    receipt = serve_reservation(operation, ttl=ttl, now=datetime.now(UTC))
    if problem := presentation.refusal(receipt):
        raise problem
    state = ReservationState.PENDING
    if receipt.replayed:
        with read_only() as session:
            held = reservation_rows.find(session, receipt.user_id, receipt.operation_key)
            state = held.state if held else state
    document = presentation.receipt_document(receipt) | {"state": state}
    return jsonify(document), presentation.headers(receipt)


@bp.post("/credits/commit")
@require_token("service", "admin")
def commit_view() -> ResponseReturnValue:
    """Keep what was reserved, or less of it; the rest goes back."""
    body = bodies.parsed(bodies.CommitBody, request.get_json())
    key, now = bodies.key_of(body), datetime.now(UTC)
    with transaction() as session:
        settled = reservations.commit(session, body.userId, key, now=now, actor=actor(), amounts=body.amounts)
    return jsonify(presentation.settlement_document(settled)), presentation.headers(settled)


@bp.post("/credits/release")
@require_token("service", "admin")
def release_view() -> ResponseReturnValue:
    """Give back what was reserved."""
    body = bodies.parsed(bodies.ReleaseBody, request.get_json())
    key, now = bodies.key_of(body), datetime.now(UTC)
    with transaction() as session:
        settled = reservations.release(session, body.userId, key, now=now, actor=actor(), reason=body.reason)
    return jsonify(presentation.settlement_document(settled)), presentation.headers(settled)


@bp.get("/user/credits/status")
def status_view() -> ResponseReturnValue:
    """What the user has left, from the book that serves now."""
    user_id, now = acting_user(), datetime.now(UTC)
    with autocommit() as session:
        found = books.seen(session, user_id, now)
        if found is None:
            raise UnknownUserError(f"User {user_id!r} is not in the directory.")
        glance, both = found
        engine = look_up_flag(session, now, glance.routing)(glance.account).engine
        request_outcomes.set_engine(engine.value)
        return _enveloped(presentation.status_document(both, engine))


@bp.get("/credits/config")
def config_view() -> ResponseReturnValue:
    """What there is to consume, for the product's front end; open to everybody."""
    with read_only() as session:
        return _enveloped(presentation.config_document(v2_enabled=is_v2_on(session, datetime.now(UTC))))


def init_app(app: Flask) -> None:
    """Mount the routes and name every refusal."""
    product_users.init_app(app)
    for blueprint in (bp, users.bp, administration.bp, review.bp):
        app.register_blueprint(blueprint)
    for kind in REFUSALS:
        app.register_error_handler(kind, _refused)


def _refused(error: Exception) -> ResponseReturnValue:
    status, code = REFUSALS[type(error)]
    return respond(Problem(status, code, str(error.args[0])))


def _enveloped(document: presentation.Document) -> ResponseReturnValue:
    return jsonify({"success": True, "data": document})
