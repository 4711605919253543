"""The credits as their owner sees them beside the status: what was used, what can be, and what to do about it."""

from datetime import UTC, datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.platform import settings
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import request_outcomes
from credits_engine.administration import queries
from credits_engine.api import bodies, entry_documents, presentation
from credits_engine.api.presentation import Document
from credits_engine.api.product_users import acting_user
from credits_engine.engines import levels
from credits_engine.engines.decisions import Book, EngineName, Outcome, Request, remaining
from credits_engine.engines.plans import Kind
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import books
from credits_engine.operations.consumption import ENGINES, UnknownUserError
from credits_engine.operations.routing import look_up_flag
from credits_engine.store import accounts, pages
from credits_engine.store.pages import Filters

bp = Blueprint("credits_user", __name__, url_prefix="/api/user/credits")

# What the clock and the administration do to limits and rights is theirs to explain.
SHOWN = tuple(
    each.value
    for each in EntryType
    if each not in (EntryType.LIMIT_CHANGE, EntryType.PERIOD_CLOSE, EntryType.FREEZE, EntryType.UNFREEZE)
)


@bp.get("/history")
def history_view() -> ResponseReturnValue:
    """The user's operations, newest first, a page at a time."""
    user_id = acting_user()
    queries.refuse_unknown("creditType", "startDate", "endDate", "cursor", "limit", "userId")
    since, until = queries.span()
    filters = Filters(
        user_id=user_id, kind=queries.kind(), types=SHOWN, since=since, until=until, before_id=queries.cursor()
    )
    with read_only() as session:
        found = pages.journal(session, filters, limit=queries.limit())
    return _enveloped(entry_documents.page(found, entry_documents.own_entry))


@bp.post("/check")
def check_view() -> ResponseReturnValue:
    """Whether an operation would be allowed now; nothing is held for it."""
    user_id, now = acting_user(), datetime.now(UTC)
    amounts = bodies.parsed(bodies.Asked, request.get_json()).amounts
    with read_only() as session:
        book, engine = serving_book(session, user_id, now)
    decision = ENGINES.of(engine)(book, Request(user_id, amounts))
    return _enveloped(
        {
            "canConsume": decision.outcome is Outcome.ALLOWED,
            "reason": decision.reason,
            "requested": presentation.pair(amounts),
            "remaining": presentation.pair(remaining(book.limits, book.used, bought=book.bought)),
            "periodEnd": presentation.instant(book.period.end),
            **presentation.engine_document(engine),
        }
    )


@bp.get("/summary")
def summary_view() -> ResponseReturnValue:
    """Usage per kind with its level, the days left, and what to recommend."""
    user_id, now = acting_user(), datetime.now(UTC)
    with read_only() as session:
        book, engine = serving_book(session, user_id, now)
    return _enveloped(summary(book, engine, now))


def serving_book(session: Session, user_id: str, now: datetime) -> tuple[Book, EngineName]:
    """The book that serves this user now. Raises UnknownUserError and UnknownPlanError."""
    found = accounts.find(session, user_id)
    if found is None:
        raise UnknownUserError(f"User {user_id!r} is not in the directory.")
    account, _ = found
    engine = look_up_flag(session, now)(account).engine
    request_outcomes.set_engine(engine.value)
    return books.shown(session, account, now).of(engine), engine


def summary(book: Book, engine: EngineName, now: datetime) -> Document:
    """What the card shows."""
    left = remaining(book.limits, book.used, bought=book.bought)
    usage = {}
    for kind in Kind:
        used, limit, bought = (getattr(each, kind.value) for each in (book.used, book.limits, book.bought))
        usage[kind.value] = {
            "used": used,
            "limit": limit,
            "bought": bought,
            "remaining": getattr(left, kind.value),
            "percentUsed": round(levels.used_ratio(used, levels.with_packs(limit, bought)) * 100, 1),
            "level": levels.level(used, levels.with_packs(limit, bought)),
        }
    return {
        "usage": usage,
        "periodStart": presentation.instant(book.period.start),
        "periodEnd": presentation.instant(book.period.end),
        "daysLeft": levels.days_left(book.period.end, now),
        "recommendations": [
            {"code": each.code, "creditType": each.kind, "message": each.message}
            for each in levels.recommendations(book, now)
        ],
        "upgradeUrl": settings.current().upgrade_url,
        "blocked": book.blocked,
        **presentation.engine_document(engine),
    }


def _enveloped(document: Document) -> ResponseReturnValue:
    return jsonify({"success": True, "data": document})
