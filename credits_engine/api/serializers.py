"""Receipts, books and plans in the words of the API. Unlimited is null; instants are ISO 8601 in UTC."""

from datetime import datetime
from typing import Any

from control_plane.platform import problems, settings
from control_plane.platform.problems import Problem
from credits_engine.engines.amounts import KINDS, ByKind, Kind
from credits_engine.engines.decisions import Book, EngineName, Outcome, remaining
from credits_engine.engines.memberships import own_key
from credits_engine.engines.packs import Pack
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.account_books import Books
from credits_engine.operations.reservations import ReservationResult

REPLAYED_HEADER = "Idempotent-Replayed"
RETRY_SECONDS = 1

Document = dict[str, Any]


def receipt_document(receipt: Receipt) -> Document:
    """Serialize the receipt of an allowed operation."""
    side = receipt.served
    return {
        "operationId": receipt.journal_id,
        "userId": receipt.user_id,
        "idempotencyKey": own_key(receipt.operation_key),
        "outcome": receipt.outcome,
        "reason": receipt.reason,
        "requested": by_kind(receipt.requested),
        "charged": by_kind(receipt.charged),
        "fromPacks": by_kind(receipt.spent_from_packs),
        "uncharged": receipt.uncharged,
        "limit": by_kind(side.limits),
        "remaining": by_kind(side.remaining),
        "periodStart": instant(side.period.start),
        "periodEnd": instant(side.period.end),
        "occurredAt": instant(receipt.occurred_at),
        **engine_document(side.engine),
    }


def reservation_document(result: ReservationResult) -> Document:
    """Serialize the result of a reservation."""
    return {
        "operationId": result.journal_id,
        "userId": result.user_id,
        "idempotencyKey": own_key(result.key),
        "state": result.state,
        "reserved": by_kind(result.reserved),
        "committed": by_kind(result.committed),
        **engine_document(result.engine),
    }


def headers(receipt: Receipt | ReservationResult) -> dict[str, str]:
    """Tell a caller that this answer had been given before."""
    return {REPLAYED_HEADER: "true"} if receipt.replayed else {}


def refusal(receipt: Receipt) -> Problem | None:
    """Return the problem that answers an operation that was not allowed; None when it was, or goes ahead uncharged."""
    if receipt.granted:
        return None
    match receipt.outcome:
        case Outcome.ALLOWED:
            return None
        case Outcome.DENIED_LIMIT:
            return _insufficient(receipt)
        case Outcome.DENIED_STATE:
            members = {"operationId": receipt.journal_id}
            return Problem(403, "CONSUMPTION_NOT_ALLOWED", receipt.reason, headers=headers(receipt), **members)
        case Outcome.ERROR:
            detail = "The credits could not be decided and nothing was charged; try again with the same key."
            retry = {"Retry-After": str(RETRY_SECONDS)}
            return Problem(503, "CREDITS_UNDECIDED", detail, headers=retry, operationId=receipt.journal_id)


def account_busy() -> Problem:
    """Return the problem that answers where too many operations of one account are under way."""
    detail = "Too many requests for this account are under way. Repeat it with the same key in a moment."
    return Problem(503, "ACCOUNT_BUSY", detail, headers={"Retry-After": str(problems.RETRY_SECONDS)})


def pack_document(pack: Pack) -> Document:
    """Return one pack; `rolledFrom` is the start of the period that left it unused, null of one that was bought."""
    return {
        "packId": pack.id,
        "creditType": pack.kind,
        "amount": pack.amount,
        "remaining": pack.remaining,
        "boughtAt": instant(pack.bought_at),
        "expiresAt": instant(pack.expires_at),
        "rolledFrom": instant(pack.rolled_from) if pack.rolled_from else None,
    }


def status_document(loaded: Books, engine: EngineName) -> Document:
    """Return the user's credits as the serving book has them; never a number of the other one.

    `remaining` is what can be spent now: what the plan leaves, and `bought` of packs, also of those that rolled over.
    """
    book = loaded.of(engine)
    return {
        "period_start": instant(book.period.start),
        "period_end": instant(book.period.end),
        **{kind: _kind(book, kind) for kind in KINDS},
        "packs": [pack_document(pack) for pack in loaded.packs],
        **engine_document(engine),
    }


def config_document(*, v2_enabled: bool) -> Document:
    """Return the kinds, what each plan grants per engine, and whether v2 serves anybody at all."""
    plans = {
        plan.name: {"title": plan.title, "v2": by_kind(plan.v2), "legacy": by_kind(plan.legacy)} for plan in CATALOGUE
    }
    return {"creditTypes": [*KINDS], "plans": plans, "creditsV2Enabled": v2_enabled}


def engine_document(engine: EngineName) -> Document:
    """Serialize the serving engine; `fallback` is true exactly when legacy serves."""
    v2 = engine is EngineName.V2
    return {"engine": engine.value, "creditsV2Enabled": v2, "fallback": not v2}


def instant(moment: datetime) -> str:
    """Write as ISO 8601 in UTC, with a Z."""
    return moment.isoformat().replace("+00:00", "Z")


def _insufficient(receipt: Receipt) -> Problem:
    side, requested, left = receipt.served, by_kind(receipt.requested), by_kind(receipt.served.remaining)
    wanted = [kind for kind in KINDS if requested[kind]]
    short = [kind for kind in wanted if left[kind] is not None and requested[kind] > left[kind]]
    kind = (short or wanted)[0]
    return Problem(
        402,
        f"INSUFFICIENT_{kind.upper()}_CREDITS",
        receipt.reason,
        headers=headers(receipt),
        creditType=kind,
        required=requested[kind],
        remaining=left[kind],
        limit=by_kind(side.limits)[kind],
        periodEnd=instant(side.period.end),
        upgradeUrl=settings.current().upgrade_url,
        operationId=receipt.journal_id,
    )


def _kind(book: Book, kind: Kind) -> Document:
    left = remaining(book.limits, book.used, bought=book.bought)
    return {
        "used": book.used[kind],
        "limit": book.limits[kind],
        "bought": book.bought[kind],
        "remaining": left[kind],
    }


def by_kind(figures: ByKind[int] | ByKind[int | None]) -> Document:
    """Serialize the figure of each kind under its name."""
    return figures.by_name()
