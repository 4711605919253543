"""The legacy engine: one pool per user, kind and UTC calendar month.

It shares no arithmetic with `dual.py`: a mistake in either shows as a variance instead of hiding in both.
"""

from credits_engine.decisions import NOTHING, Amounts, Book, Decision, Outcome, Request, remaining
from credits_engine.plans import Kind, Limit


def decide(book: Book, request: Request) -> Decision:
    """Allow while every pool asked for holds enough; charge all kinds or none."""
    if book.blocked is not None:
        return _answer(book, Outcome.DENIED_STATE, NOTHING, book.blocked)
    pools = (
        (Kind.ANALYSIS, book.limits.analysis, book.used.analysis, request.amounts.analysis),
        (Kind.ROAST, book.limits.roast, book.used.roast, request.amounts.roast),
    )
    for kind, limit, used, asked in pools:
        if asked > 0 and not _holds(limit, used, asked):
            return _answer(book, Outcome.DENIED_LIMIT, NOTHING, _short(kind, limit, used, asked, book))
    return _answer(book, Outcome.ALLOWED, request.amounts, f"This month's pools hold {request.amounts}.")


def _holds(limit: Limit, used: int, asked: int) -> bool:
    return limit is None or used + asked <= limit


def _short(kind: Kind, limit: Limit, used: int, asked: int, book: Book) -> str:
    return (
        f"{asked} {kind} asked for, {used} of {limit} used this calendar month; "
        f"the pool refills at {book.period.end:%Y-%m-%dT%H:%M:%SZ}."
    )


def _answer(book: Book, outcome: Outcome, charged: Amounts, reason: str) -> Decision:
    return Decision(
        outcome=outcome,
        charged=charged,
        reason=reason,
        used=book.used,
        limits=book.limits,
        remaining=remaining(book.limits, book.used + charged),
        period=book.period,
    )
