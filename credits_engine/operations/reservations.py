"""The life of an operation that takes time: reserve, then commit or release; what is forgotten expires.

A reservation is charged to both books when it is made, so nobody can spend the same credit meanwhile. Settling it
gives back what was not needed, to the packs and in the periods that were charged. The engine that granted it stays its
engine: nothing is judged again, whatever the flag says by then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.packs import refund, total
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations.consumption import EnginePolicy, Evaluate, Operation, consume
from credits_engine.store import journal, packs, reservations
from credits_engine.store.reservations import ReservationState, StoredReservation

DEFAULT_TTL = timedelta(minutes=15)
SYSTEM = "credits"
ENTRIES = {
    ReservationState.COMMITTED: EntryType.COMMIT,
    ReservationState.RELEASED: EntryType.RELEASE,
    ReservationState.EXPIRED: EntryType.EXPIRE,
}


@dataclass(frozen=True, slots=True)
class ReservationResult:
    """The result of a reservation: `committed` stays charged, the rest was returned.

    `replayed` marks a repeated answer.
    """

    journal_id: int
    user_id: str
    key: str
    state: ReservationState
    reserved: Amounts
    committed: Amounts
    engine: EngineName
    replayed: bool = False


class UnknownReservationError(LookupError):
    """No reservation was granted under that key."""


class FinalizedDifferentlyError(Exception):
    """The reservation has already ended in another way."""


class CommitTooLargeError(ValueError):
    """More is to be committed than was reserved."""


def reserve(
    session: Session,
    operation: Operation,
    *,
    now: datetime,
    evaluate: Evaluate,
    ttl: timedelta = DEFAULT_TTL,
    policy: EnginePolicy | None = None,
) -> Receipt:
    """Decide and charge like `consume`; what is granted is held until it is settled or `ttl` is over."""
    assert operation.type is EntryType.RESERVE
    receipt = consume(session, operation, now=now, evaluate=evaluate, policy=policy)
    if receipt.granted and not receipt.replayed:
        sides = {receipt.served.engine: receipt.served, receipt.shadow.engine: receipt.shadow}
        reservations.add(
            session,
            StoredReservation(
                user_id=receipt.user_id,
                key=receipt.operation_key,
                state=ReservationState.PENDING,
                journal_id=receipt.journal_id,
                settled_by=None,
                engine=receipt.served.engine,
                amounts=receipt.charged,
                committed=NOTHING,
                v2_period_start=sides[EngineName.V2].period.start,
                legacy_period_start=sides[EngineName.LEGACY].period.start,
                reserved_at=now,
                expires_at=now + ttl,
            ),
        )
    return receipt


def commit(
    session: Session, user_id: str, key: str, *, now: datetime, actor: str, amounts: Amounts | None = None
) -> ReservationResult:
    """Keep what was reserved, or `amounts` of it, and give the rest back.

    Raises UnknownReservationError, SettledOtherwiseError and CommitTooLargeError; nothing is written then.
    """
    held = _locked(session, user_id, key)
    # What was let through uncharged holds nothing, however much of it was needed.
    kept = held.amounts if amounts is None or held.amounts == NOTHING else amounts
    if any(kept[kind] > held.amounts[kind] for kind in KINDS):
        raise CommitTooLargeError(f"{kept} can't be committed: {held.amounts} were reserved under {key!r}.")
    if held.state is ReservationState.PENDING and now >= held.expires_at:
        raise FinalizedDifferentlyError(
            f"The reservation {key!r} expired at {held.expires_at.isoformat()}; reserve again."
        )
    return _finalize(session, held, ReservationState.COMMITTED, ChangeContext(now, actor, "Work done."), kept=kept)


def release(session: Session, user_id: str, key: str, *, now: datetime, actor: str, reason: str) -> ReservationResult:
    """Give back everything that was reserved. Raises UnknownReservationError and SettledOtherwiseError."""
    held = _locked(session, user_id, key)
    return _finalize(session, held, ReservationState.RELEASED, ChangeContext(now, actor, reason))


def expire(session: Session, user_id: str, key: str, *, now: datetime) -> ReservationResult | None:
    """Give back what a forgotten reservation holds; None when it was settled meanwhile or has time left."""
    held = reservations.lock(session, user_id, key)
    if held is None or held.state is not ReservationState.PENDING or now < held.expires_at:
        return None
    reason = f"Neither committed nor released by {held.expires_at.isoformat()}."
    return _finalize(session, held, ReservationState.EXPIRED, ChangeContext(now, SYSTEM, reason))


def _locked(session: Session, user_id: str, key: str) -> StoredReservation:
    held = reservations.lock(session, user_id, key)
    if held is None:
        raise UnknownReservationError(f"Nothing is reserved for {user_id!r} under {key!r}; reserve first.")
    return held


def _finalize(
    session: Session,
    held: StoredReservation,
    state: ReservationState,
    change: ChangeContext,
    *,
    kept: Amounts = NOTHING,
) -> ReservationResult:
    if held.state is not ReservationState.PENDING:
        return _replayed(held, state, kept)
    back = held.amounts - kept
    to_packs = refund(packs.allocations_of(session, held.journal_id), back) if held.drew else ()
    undrawn = total(to_packs)
    lowered = reservations.give_back(session, held, back - undrawn)
    journal_id = journal.append(
        session,
        {
            "type": ENTRIES[state].value,
            "occurred_at": change.now,
            "user_id": held.user_id,
            "operation_key": held.key,
            "charged": -back,
            "served_engine": held.engine.value,
            "reason": change.reason,
            "corrects": held.journal_id,
            "actor": change.actor,
            "context": {"drawn": [-amount for _, amount in undrawn.items()]} if to_packs else None,
            "v2_period_start": held.v2_period_start,
            "legacy_period_start": held.legacy_period_start,
            "v2_posted": -lowered[EngineName.V2],
            "legacy_posted": -lowered[EngineName.LEGACY],
        },
    )
    packs.move(session, journal_id, to_packs)
    reservations.finalize(session, held, state=state, journal_id=journal_id, kept=kept)
    return ReservationResult(journal_id, held.user_id, held.key, state, held.amounts, kept, held.engine)


def _replayed(held: StoredReservation, state: ReservationState, kept: Amounts) -> ReservationResult:
    """Return the same result for the same request, and refuse any other."""
    if held.state is not state or held.committed != kept or held.settled_by is None:
        ended = f"with {held.committed}" if held.state is ReservationState.COMMITTED else "and gave everything back"
        raise FinalizedDifferentlyError(f"The reservation {held.key!r} was already {held.state} {ended}.")
    return ReservationResult(
        held.settled_by, held.user_id, held.key, state, held.amounts, held.committed, held.engine, replayed=True
    )
