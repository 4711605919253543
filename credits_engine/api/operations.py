"""The credits over HTTP: services consume for users, users see what they have.

The life of a consumption, from `consume_view` on:

1. The body becomes an `Operation`, its key from the header or the body (`api/requests.py`).
2. A transaction is opened, and begun again where another request takes the same key (`operations/execution.py`). On
   PostgreSQL a function answers all of the next steps in one statement (`operations/stored_procedure.py`).
3. The user, both books and the key are loaded; a known key gets its first receipt (`operations/consumption.py`,
   `operations/account_books.py`, `store/books.py`). Billing brings an account up to date that has fallen due.
4. The flag says which engine serves, inside the same transaction (`operations/routing.py`).
5. Both engines decide, the shadow within its time, and neither can harm the other (`engines/legacy.py`,
   `engines/v2.py`, `engines/observation.py`).
6. Their answers are compared (`engines/comparison.py`).
7. What the serving one charged goes into both books, one row with both answers into the journal, and the key leads
   to it (`store/books.py`, `store/packs.py`, `store/journal.py`).
8. After the commit the guard's signals are counted (`operations/guard_signals.py`), and the receipt is written as
   JSON or as a problem (`api/serializers.py`).
"""

from collections.abc import Mapping
from functools import partial

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_token
from control_plane.platform.db.database import autocommit, read_only
from control_plane.platform.db.keyed_semaphore import KeyBusyError
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem, respond
from credits_engine.administration.corrections import CorrectionRefused
from credits_engine.administration.top_ups import UnknownPackError
from credits_engine.api import (
    account_usage,
    administration,
    catalogue,
    journal_export,
    members,
    product_users,
    requests,
    review,
    serializers,
    users,
)
from credits_engine.api.product_users import acting_user
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books, reservations
from credits_engine.operations.consumption import KeyConflictError, LostRaceError, UnknownUserError
from credits_engine.operations.control_checks import read_as
from credits_engine.operations.execution import run_finalization, run_operation, run_reservation
from credits_engine.operations.members import account_of
from credits_engine.operations.reservations import (
    CommitTooLargeError,
    FinalizedDifferentlyError,
    UnknownReservationError,
)
from credits_engine.operations.routing import flag_lookup, is_v2_on
from credits_engine.store import reservations as reservation_rows
from credits_engine.store.reservations import ReservationState

bp = Blueprint("credits", __name__, url_prefix="/api")

REFUSALS: Mapping[type[Exception], tuple[int, str]] = {
    UnknownUserError: (422, "UNKNOWN_USER"),
    UnknownPlanError: (422, "UNKNOWN_PLAN"),
    KeyConflictError: (409, "IDEMPOTENCY_KEY_REUSED"),
    LostRaceError: (409, "IDEMPOTENCY_KEY_BUSY"),
    UnknownReservationError: (404, "UNKNOWN_RESERVATION"),
    FinalizedDifferentlyError: (409, "RESERVATION_SETTLED"),
    CommitTooLargeError: (422, "COMMIT_TOO_LARGE"),
    CorrectionRefused: (409, "CORRECTION_REFUSED"),
    UnknownPackError: (404, "UNKNOWN_PACK"),
}


@bp.post("/credits/consume")
@require_token("service", "admin")
def consume_view() -> ResponseReturnValue:
    """Take credits for a user: 200 with a receipt, or 402, 403, 409, 422 or 503 as a problem."""
    receipt = run_operation(requests.operation(actor=actor()), now=clock.now())
    if problem := serializers.refusal(receipt):
        raise problem
    return jsonify(serializers.receipt_document(receipt)), serializers.headers(receipt)


@bp.post("/credits/reserve")
@require_token("service", "admin")
def reserve_view() -> ResponseReturnValue:
    """Hold credits for work that takes time; answers like consume, and says how the reservation stands."""
    operation, ttl = requests.reservation(actor=actor())
    receipt = run_reservation(operation, ttl=ttl, now=clock.now())
    if problem := serializers.refusal(receipt):
        raise problem
    state = ReservationState.PENDING
    if receipt.replayed:
        with read_only() as session:
            reservation = reservation_rows.find(session, receipt.user_id, receipt.operation_key)
            state = reservation.state if reservation else state
    document = serializers.receipt_document(receipt) | {"state": state}
    return jsonify(document), serializers.headers(receipt)


@bp.post("/credits/commit")
@require_token("service", "admin")
def commit_view() -> ResponseReturnValue:
    """Keep what was reserved, or less of it; the rest goes back."""
    body = requests.parsed(requests.CommitRequest, request.get_json())
    key, now = requests.key_of(body), clock.now()
    by = actor()
    result = run_finalization(
        body.userId,
        key,
        lambda session: reservations.commit(session, body.userId, key, now=now, actor=by, amounts=body.by_kind),
        now=now,
    )
    return jsonify(serializers.reservation_document(result)), serializers.headers(result)


@bp.post("/credits/release")
@require_token("service", "admin")
def release_view() -> ResponseReturnValue:
    """Give back what was reserved."""
    body = requests.parsed(requests.ReleaseRequest, request.get_json())
    key, now = requests.key_of(body), clock.now()
    by = actor()
    result = run_finalization(
        body.userId,
        key,
        lambda session: reservations.release(session, body.userId, key, now=now, actor=by, reason=body.reason),
        now=now,
    )
    return jsonify(serializers.reservation_document(result)), serializers.headers(result)


@bp.get("/user/credits/status")
def status_view() -> ResponseReturnValue:
    """Return the credits left to the user, from the book that serves now."""
    now = clock.now()
    user_id = account_of(acting_user(), now)
    request_outcomes.set_account(user_id)
    with autocommit() as session:
        found = account_books.read_account_books(session, user_id, now)
        if found is None:
            raise UnknownUserError(f"User {user_id!r} is not in the directory.")
        view, loaded = found
        engine = flag_lookup(session, now, view.routing)(view.account).engine
        request_outcomes.set_arm(FLAG, engine.value)
        document = read_as(engine, lambda each: serializers.status_document(loaded, each), account=user_id, now=now)
        return _enveloped(document)


@bp.get("/credits/config")
def config_view() -> ResponseReturnValue:
    """Return the kinds of credits for the product's front end; open to everybody."""
    with read_only() as session:
        return _enveloped(serializers.config_document(v2_enabled=is_v2_on(session, clock.now())))


def init_app(app: Flask) -> None:
    """Mount the routes and name every refusal."""
    product_users.init_app(app)
    for blueprint in (
        *(bp, users.bp, administration.bp, review.bp, account_usage.bp),
        *(catalogue.bp, members.bp, journal_export.bp),
    ):
        app.register_blueprint(blueprint)
    answer_refusals(app, REFUSALS)
    app.register_error_handler(KeyBusyError, _busy)


def answer_refusals(app: Flask, refusals: Mapping[type[Exception], tuple[int, str]]) -> None:
    """Answer each of these errors as a problem with its status, its code and its own sentence."""
    for error, (status, code) in refusals.items():
        app.register_error_handler(error, partial(_refused, status, code))


def _busy(_error: KeyBusyError) -> ResponseReturnValue:
    return respond(serializers.account_busy())


def _refused(status: int, code: str, error: Exception) -> ResponseReturnValue:
    return respond(Problem(status, code, str(error.args[0])))


def _enveloped(document: serializers.Document) -> ResponseReturnValue:
    return jsonify({"success": True, "data": document})
