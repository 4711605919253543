"""Credits for administrators: correct them, freeze them, and look at everything about them."""

from dataclasses import replace

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.corrections import Adjustment, Correction
from credits_engine.administration.top_ups import TopUp
from credits_engine.api import journal_entries, query_params, requests, serializers
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName
from credits_engine.operations import account_books
from credits_engine.operations.consumption import UnknownUserError
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts, journal
from credits_engine.store.journal import Filters

bp = Blueprint("credits_admin", __name__, url_prefix="/api/admin/credits")

SHEET_ROWS = 10_000


@bp.post("/reset")
@require_role("owner")
def reset_view() -> ResponseReturnValue:
    """Set the used credits of a user to zero, in both books."""
    body = requests.parsed(requests.ReasonedRequest, _json())
    with transaction() as session:
        done = corrections.reset(session, body.userId, ChangeContext(clock.now(), actor(), body.reason))
    return jsonify(_correction(done))


@bp.post("/adjust")
@require_role("owner")
def adjust_view() -> ResponseReturnValue:
    """Give credits back, or take some away. A key makes it happen once however often it is sent."""
    body = requests.parsed(requests.AdjustRequest, _json())
    now, key = clock.now(), requests.optional_key(body)
    with transaction() as session:
        done = corrections.adjust(
            session,
            Adjustment(body.userId, body.amounts_set, key=key, beyond_limit=body.allowBeyondLimit),
            ChangeContext(now, actor(), body.reason),
            evaluate=flag_lookup(session, now),
        )
    headers = {serializers.REPLAYED_HEADER: "true"} if done.replayed else {}
    return jsonify(_correction(done)), headers


@bp.post("/top-ups")
@require_role("owner")
def top_up_view() -> ResponseReturnValue:
    """Give a user a pack of credits that is spent after the plan's. A key makes it happen once."""
    body = requests.parsed(requests.TopUpRequest, _json())
    key = requests.optional_key(body)
    with transaction() as session:
        done = top_ups.top_up(session, body.purchase, ChangeContext(clock.now(), actor(), body.reason), key=key)
    headers = {serializers.REPLAYED_HEADER: "true"} if done.replayed else {}
    return jsonify(_top_up(done)), headers


@bp.post("/top-ups/revoke")
@require_role("owner")
def revoke_view() -> ResponseReturnValue:
    """End a pack, as after a refund; what was spent of it stays spent."""
    body = requests.parsed(requests.RevokeRequest, _json())
    with transaction() as session:
        done = top_ups.revoke(session, body.packId, ChangeContext(clock.now(), actor(), body.reason))
    return jsonify(_top_up(done))


@bp.post("/freeze")
@require_role("owner")
def freeze_view() -> ResponseReturnValue:
    """Stop the consumption of a user, or of everybody as `*`."""
    body = requests.parsed(requests.ReasonedRequest, _json())
    with transaction() as session:
        changed = corrections.freeze(session, body.userId, ChangeContext(clock.now(), actor(), body.reason))
    return jsonify({"userId": body.userId, "frozen": True, "changed": changed})


@bp.post("/unfreeze")
@require_role("owner")
def unfreeze_view() -> ResponseReturnValue:
    """Let them consume again."""
    body = requests.parsed(requests.ReasonedRequest, _json())
    with transaction() as session:
        changed = corrections.unfreeze(session, body.userId, ChangeContext(clock.now(), actor(), body.reason))
    return jsonify({"userId": body.userId, "frozen": False, "changed": changed})


@bp.get("/users/<path:user_id>")
@require_role("owner")
def user_view(user_id: str) -> ResponseReturnValue:
    """Return both books, who serves and why, and a page of the journal."""
    query_params.refuse_unknown("cursor", "limit")
    now, filters = clock.now(), Filters(user_id=user_id, before_id=query_params.cursor())
    with read_only() as session:
        found = accounts.find(session, user_id)
        if found is None:
            raise UnknownUserError(f"User {user_id!r} is not in the directory.")
        account, _ = found
        evaluation = flag_lookup(session, now)(account)
        loaded = account_books.read_books(session, account, now)
        page = journal.entries(session, filters, limit=query_params.limit())
    return jsonify(
        {
            "userId": user_id,
            "plan": account.plan,
            "frozen": account.frozen,
            "billingAnchor": serializers.instant(account.billing_anchor) if account.billing_anchor else None,
            "because": evaluation.reason,
            **serializers.engine_document(evaluation.engine),
            "books": {name.value: serializers.status_document(loaded, name) for name in EngineName},
            "journal": journal_entries.page(page, journal_entries.full_entry),
        }
    )


@bp.get("/variances")
@require_role("owner")
def variances_view() -> ResponseReturnValue:
    """List the operations on which the engines differed, grouped by cause or page by page."""
    query_params.refuse_unknown(
        *(
            "class",
            "cause",
            "engine",
            "plan",
            "userId",
            "creditType",
            "startDate",
            "endDate",
            "cursor",
            "limit",
            "format",
        )
    )
    since, until = query_params.date_range()
    filters = Filters(
        user_id=query_params.text("userId"),
        kind=query_params.kind(),
        since=since,
        until=until,
        variance=query_params.choice("class", Variance, "UNKNOWN_CLASS"),
        cause=query_params.text("cause"),
        engine=query_params.engine(),
        plan=query_params.text("plan"),
    )
    page_filters = replace(filters, before_id=query_params.cursor())
    as_sheet = query_params.wants_csv()
    with read_only() as session:
        found = journal.variances(session, page_filters, limit=SHEET_ROWS if as_sheet else query_params.limit())
        groups = [] if as_sheet else journal.variance_groups(session, filters)
    if as_sheet:
        rows = [journal_entries.flat(journal_entries.full_entry({**row, "context": None})) for row in found.rows]
        columns = tuple(rows[0]) if rows else ("id",)
        values, following = (tuple(row.values()) for row in rows), found.next_before
        return journal_entries.sheet("credits-variances", columns, values, after=following)
    counted = [{"class": variance, "cause": cause, "operations": rows} for variance, cause, rows in groups]
    return jsonify({"groups": counted, **journal_entries.page(found, journal_entries.full_entry)})


def _json() -> object:
    """Return the body, whatever it says it is: curl's `-d` says it were a form."""
    return request.get_json(force=True)


def _top_up(done: TopUp) -> serializers.Document:
    pack = serializers.pack_document(done.pack)
    return {"operationId": done.journal_id, "userId": done.pack.user_id, "moved": done.moved, **pack}


def _correction(done: Correction) -> serializers.Document:
    return {
        "operationId": done.journal_id,
        "userId": done.user_id,
        "type": done.type,
        "posted": {name.value: serializers.by_kind(amounts) for name, amounts in done.posted.items()},
        "reason": done.reason,
    }
