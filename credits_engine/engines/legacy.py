"""The legacy engine: one pool per user, kind and UTC calendar month.

It shares no arithmetic with `v2.py`: a mistake in either shows as a variance instead of hiding in both.
"""

from credits_engine.engines.amounts import NOTHING, Amounts, Kind, Limit
from credits_engine.engines.decisions import Book, Decision, Outcome, Request, remaining


def decide(book: Book, request: Request) -> Decision:
    """Allow while every pool asked for holds enough; charge all kinds or none."""
    if book.blocked is not None:
        return _decision(book, Outcome.DENIED_STATE, NOTHING, book.blocked)
    pools = zip(request.amounts.items(), book.limits.in_order, book.used.in_order, book.bought.in_order, strict=False)
    for (kind, requested), limit, used, bought in pools:
        if requested > 0 and not _holds(limit, used, bought, requested):
            return _decision(
                book, Outcome.DENIED_LIMIT, NOTHING, _short(kind, book, used=used, limit=limit, requested=requested)
            )
    return _decision(book, Outcome.ALLOWED, request.amounts, f"This month's pools hold {request.amounts}.")


def _holds(limit: Limit, used: int, bought: int, requested: int) -> bool:
    """Return whether the credits suffice; packs stay whole where the other engine's operations exceeded the limit."""
    return limit is None or requested <= bought or used + requested <= limit + bought


def _short(kind: Kind, book: Book, *, used: int, limit: Limit, requested: int) -> str:
    bought = book.bought[kind]
    from_packs = f" and {bought} bought besides" if bought else ""
    return (
        f"{requested} {kind} asked for, {used} of {limit} used this calendar month{from_packs}; "
        f"the pool refills at {book.period.end:%Y-%m-%dT%H:%M:%SZ}."
    )


def _decision(book: Book, outcome: Outcome, charged: Amounts, reason: str) -> Decision:
    return Decision(
        outcome=outcome,
        charged=charged,
        reason=reason,
        used=book.used,
        limits=book.limits,
        remaining=remaining(book.limits, book.used, bought=book.bought, charged=charged),
        period=book.period,
    )
