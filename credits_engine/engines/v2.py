"""The v2 engine: all kinds of credits in one row per user and billing period, decided and charged as one."""

from credits_engine.engines.amounts import NOTHING, Limit, Limits
from credits_engine.engines.decisions import Book, Decision, Outcome, Request


def decide(book: Book, request: Request) -> Decision:
    """Allow what the limit and the packs leave of each kind asked for; otherwise charge nothing of any kind."""
    left = Limits(*map(_left, book.limits.in_order, book.used.in_order, book.bought.in_order))
    if book.blocked is not None:
        return _refusal(book, left, Outcome.DENIED_STATE, book.blocked)
    missing = [
        f"{wanted} {kind} asked for, {available} left"
        for (kind, wanted), available in zip(request.amounts.items(), left.figures, strict=False)
        if available is not None and wanted > available
    ]
    if missing:
        reason = f"{'; '.join(missing)} until the billing period ends at {book.period.end:%Y-%m-%dT%H:%M:%SZ}."
        return _refusal(book, left, Outcome.DENIED_LIMIT, reason)
    return Decision(
        outcome=Outcome.ALLOWED,
        charged=request.amounts,
        reason=f"The billing period grants {request.amounts}.",
        used=book.used,
        limits=book.limits,
        remaining=Limits(*map(_after, left.figures, request.amounts.in_order)),
        period=book.period,
    )


def _refusal(book: Book, left: Limits, outcome: Outcome, reason: str) -> Decision:
    return Decision(
        outcome=outcome,
        charged=NOTHING,
        reason=reason,
        used=book.used,
        limits=book.limits,
        remaining=Limits(*(_after(each, 0) for each in left.figures)),
        period=book.period,
    )


def _left(limit: Limit, used: int, bought: int) -> Limit:
    """Return the credits left of the limit and of packs. Operations of the other engine may have exceeded the limit."""
    return None if limit is None else max(limit - used, 0) + bought


def _after(left: Limit, charged: int) -> Limit:
    return None if left is None else max(left - charged, 0)
