"""Credits besides the plan, bought or rolled over: which pack an operation draws on, and where what is given back goes.

A pack belongs to the user, not to an engine: both judge with it and its one counter is moved by what was served. The
plan is spent first, then the pack that expires soonest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from credits_engine.engines.amounts import NOTHING, Amounts, Kind, Limit
from credits_engine.engines.decisions import Book


@dataclass(frozen=True, slots=True)
class Pack:
    """`amount` credits of one kind, of which `remaining` can be spent before `expires_at`."""

    id: int
    user_id: str
    kind: Kind
    amount: int
    remaining: int
    bought_at: datetime
    expires_at: datetime
    rolled_from: datetime | None = None
    """The start of the period that left these credits unused; None of what was bought."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """By how much one journal row moves one pack: negative where credits are drawn, positive where they return."""

    pack_id: int
    kind: Kind
    amount: int


def bought(packs: Iterable[Pack]) -> Amounts:
    """Sum the credits in usable packs."""
    return total(Allocation(pack.id, pack.kind, pack.remaining) for pack in packs)


def total(moves: Iterable[Allocation]) -> Amounts:
    """Return the moves added up by kind."""
    return sum((Amounts(**{move.kind: move.amount}) for move in moves), NOTHING)


def beyond_plan(book: Book, charged: Amounts) -> Amounts:
    """Return the part of a charge that the plan does not cover and packs do; the rest is the book's."""
    if NOTHING in (book.bought, charged):
        return NOTHING
    return Amounts.of(lambda kind: _beyond(book.limits[kind], book.used[kind], book.bought[kind], charged[kind]))


def spend(packs: Sequence[Pack], amounts: Amounts) -> tuple[Allocation, ...]:
    """Allocate `amounts` to usable packs, the one that expires soonest first. Raises ValueError for too little."""
    moves: list[Allocation] = []
    for kind, amount in amounts.items():
        missing = amount
        for pack in sorted(packs, key=lambda each: (each.expires_at, each.id)):
            part = min(missing, pack.remaining) if pack.kind == kind else 0
            if part > 0:
                moves.append(Allocation(pack.id, kind, -part))
                missing -= part
        if missing > 0:
            raise ValueError(f"The packs lack {missing} {kind}.")
    return tuple(moves)


def refund(moves: Sequence[Allocation], back: Amounts) -> tuple[Allocation, ...]:
    """Allocate the refund `back` of an operation: to packs before the plan, to the one spent last first.

    So that what is left is what an operation for the kept part alone would have left. What the packs don't take
    belongs to the plan. The answer is in the order of `moves`, in which rows are locked.
    """
    left = dict(back.items())
    found: list[Allocation] = []
    for move in reversed(moves):
        part = min(left[move.kind], -move.amount)
        if part > 0:
            found.append(Allocation(move.pack_id, move.kind, part))
            left[move.kind] -= part
    return tuple(reversed(found))


def _beyond(limit: Limit, used: int, bought: int, charged: int) -> int:
    return 0 if limit is None else min(max(charged - max(limit - used, 0), 0), bought)
