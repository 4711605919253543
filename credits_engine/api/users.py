"""The credits as their owner sees them beside the status: what was used, what can be, and what to do about it."""

from datetime import datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.experiments.credits import FLAG
from control_plane.platform import clock, settings
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import request_outcomes
from credits_engine.api import journal_entries, query_params, requests, serializers
from credits_engine.api.product_users import acting_user
from credits_engine.api.serializers import Document
from credits_engine.engines import usage_levels
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.decisions import EngineName, Outcome, Request, remaining
from credits_engine.engines.memberships import member_key
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import account_books
from credits_engine.operations.account_books import Books
from credits_engine.operations.consumption import ENGINES, UnknownUserError
from credits_engine.operations.control_checks import read_as
from credits_engine.operations.members import account_of, membership, within_limit
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts, journal
from credits_engine.store.journal import Filters

bp = Blueprint("credits_user", __name__, url_prefix="/api/user/credits")

# What the clock and the administration do to limits and rights is theirs to explain.
VISIBLE_TYPES = tuple(
    each.value
    for each in EntryType
    if each not in (EntryType.LIMIT_CHANGE, EntryType.PERIOD_CLOSE, EntryType.FREEZE, EntryType.UNFREEZE)
)


@bp.get("/history")
def history_view() -> ResponseReturnValue:
    """Return the user's operations, newest first, a page at a time."""
    user_id, now = acting_user(), clock.now()
    query_params.refuse_unknown("creditType", "startDate", "endDate", "cursor", "limit", "userId")
    since, until = query_params.date_range()
    filters = Filters(
        user_id=account_of(user_id, now),
        # What the other members do is none of theirs.
        key_prefix=member_key(user_id, "") if membership(user_id, now) else None,
        kind=query_params.kind(),
        types=VISIBLE_TYPES,
        since=since,
        until=until,
        before_id=query_params.cursor(),
    )
    with read_only() as session:
        found = journal.entries(session, filters, limit=query_params.limit())
    return _enveloped(journal_entries.page(found, journal_entries.own_entry))


@bp.post("/check")
def check_view() -> ResponseReturnValue:
    """Return whether an operation would be allowed now; nothing is reserved for it."""
    user_id, now = acting_user(), clock.now()
    amounts = requests.parsed(requests.RequestedAmounts, request.get_json()).amounts
    with read_only() as session:
        books, engine = serving_books(session, user_id, now, requested=amounts)
    wanted = Request(user_id, amounts)
    return _enveloped(read_as(engine, lambda each: _checked(books, each, wanted), account=user_id, now=now))


@bp.get("/summary")
def summary_view() -> ResponseReturnValue:
    """Show usage per kind with its level, the days left, and what to recommend."""
    user_id, now = acting_user(), clock.now()
    with read_only() as session:
        books, engine = serving_books(session, user_id, now)
    return _enveloped(read_as(engine, lambda each: summary(books, each, now), account=user_id, now=now))


def _checked(books: Books, engine: EngineName, wanted: Request) -> Document:
    book = books.of(engine)
    decision = ENGINES.of(engine)(book, wanted)
    return {
        "canConsume": decision.outcome is Outcome.ALLOWED,
        "reason": decision.reason,
        "requested": serializers.by_kind(wanted.amounts),
        "remaining": serializers.by_kind(remaining(book.limits, book.used, bought=book.bought)),
        "periodEnd": serializers.instant(book.period.end),
        **serializers.engine_document(engine),
    }


def serving_books(
    session: Session, user_id: str, now: datetime, *, requested: Amounts = NOTHING
) -> tuple[Books, EngineName]:
    """Return the books, and the engine that serves this user now; a member's own limit may close them to what is asked.

    Raises UnknownUserError and UnknownPlanError.
    """
    member = membership(user_id, now)
    found = accounts.find(session, account_of(user_id, now))
    if found is None:
        raise UnknownUserError(f"User {user_id!r} is not in the directory.")
    account, _ = found
    request_outcomes.set_account(account.user_id)
    engine = flag_lookup(session, now)(account).engine
    request_outcomes.set_arm(FLAG, engine.value)
    books = account_books.read_books(session, account, now)
    if member:
        books = within_limit(session, member, books, requested)
    return books, engine


def summary(books: Books, engine: EngineName, now: datetime) -> Document:
    """Return the figures of the card."""
    book = books.of(engine)
    left = remaining(book.limits, book.used, bought=book.bought)
    usage = {}
    for kind in KINDS:
        used, limit, bought = book.used[kind], book.limits[kind], book.bought[kind]
        usage[kind] = {
            "used": used,
            "limit": limit,
            "bought": bought,
            "remaining": left[kind],
            "percentUsed": round(usage_levels.used_ratio(used, usage_levels.with_packs(limit, bought)) * 100, 1),
            "level": usage_levels.level(used, usage_levels.with_packs(limit, bought)),
        }
    return {
        "usage": usage,
        "rolledOver": [
            {"creditType": pack.kind, "remaining": pack.remaining, "expiresAt": serializers.instant(pack.expires_at)}
            for pack in books.packs
            if pack.rolled_from
        ],
        "periodStart": serializers.instant(book.period.start),
        "periodEnd": serializers.instant(book.period.end),
        "daysLeft": usage_levels.days_left(book.period.end, now),
        "recommendations": [
            {"code": each.code, "creditType": each.kind, "message": each.message}
            for each in usage_levels.recommendations(book, now)
        ],
        "upgradeUrl": settings.current().upgrade_url,
        "blocked": book.blocked,
        **serializers.engine_document(engine),
    }


def _enveloped(document: Document) -> ResponseReturnValue:
    return jsonify({"success": True, "data": document})
