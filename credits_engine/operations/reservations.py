"""The life of an operation that takes time: reserve, then commit or release; what is forgotten expires.

A reservation is charged to both books when it is made, so nobody can spend the same credit meanwhile. Finalizing it
gives back what was not needed, to the packs and in the periods that were charged. The engine that granted it stays its
engine: nothing is judged again, whatever the flag says by then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.memberships import MARK, own_key
from credits_engine.engines.packs import refund, total
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations.consumption import EnginePolicy, Evaluate, Operation, consume
from credits_engine.operations.members import reservation_place
from credits_engine.operations.routing import note_reservation
from credits_engine.store import journal, members, packs, reservations
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
    """Decide and charge like `consume`; what is granted is held until it is finalized or `ttl` is over."""
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
                finalized_by=None,
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

    Raises UnknownReservationError, FinalizedDifferentlyError and CommitTooLargeError; nothing is written then.
    """
    stored = _locked(session, *reservation_place(session, user_id, key))
    # What was let through uncharged holds nothing, however much of it was needed.
    committed = stored.amounts if amounts is None or stored.amounts == NOTHING else amounts
    if any(committed[kind] > stored.amounts[kind] for kind in KINDS):
        raise CommitTooLargeError(
            f"{committed} can't be committed: {stored.amounts} were reserved under {own_key(key)!r}."
        )
    # Late is late, even where the sweep has not come by yet: whether a commit succeeds must not depend on its schedule.
    if stored.state is ReservationState.PENDING and now >= stored.expires_at:
        raise FinalizedDifferentlyError(
            f"The reservation {key!r} expired at {stored.expires_at.isoformat()}; reserve again."
        )
    return _finalize(
        session, stored, ReservationState.COMMITTED, ChangeContext(now, actor, "Work done."), committed=committed
    )


def release(session: Session, user_id: str, key: str, *, now: datetime, actor: str, reason: str) -> ReservationResult:
    """Give back everything that was reserved. Raises UnknownReservationError and FinalizedDifferentlyError."""
    stored = _locked(session, *reservation_place(session, user_id, key))
    return _finalize(session, stored, ReservationState.RELEASED, ChangeContext(now, actor, reason))


def expire(session: Session, user_id: str, key: str, *, now: datetime) -> ReservationResult | None:
    """Give back what a forgotten reservation holds; None when it was finalized meanwhile or has time left."""
    stored = reservations.lock(session, user_id, key)
    if stored is None or stored.state is not ReservationState.PENDING or now < stored.expires_at:
        return None
    reason = f"Neither committed nor released by {stored.expires_at.isoformat()}."
    return _finalize(session, stored, ReservationState.EXPIRED, ChangeContext(now, SYSTEM, reason))


def _locked(session: Session, user_id: str, key: str) -> StoredReservation:
    stored = reservations.lock(session, user_id, key)
    if stored is None:
        raise UnknownReservationError(f"Nothing is reserved for {user_id!r} under {own_key(key)!r}; reserve first.")
    note_reservation(stored.engine, stored.user_id)
    return stored


def _finalize(
    session: Session,
    stored: StoredReservation,
    state: ReservationState,
    change: ChangeContext,
    *,
    committed: Amounts = NOTHING,
) -> ReservationResult:
    if stored.state is not ReservationState.PENDING:
        return _replayed(stored, state, committed)
    back = stored.amounts - committed
    # To the packs first, as they were spent last: the plan's credits paid until there were none left.
    to_packs = refund(packs.allocations_of(session, stored.user_id, stored.journal_id), back) if stored.drew else ()
    undrawn = total(to_packs)
    # A reset may have emptied the book since. Then less than `back` is taken off it, and the journal says how much.
    lowered = reservations.give_back(session, stored, back - undrawn)
    journal_id = journal.append(
        session,
        {
            "type": ENTRIES[state].value,
            "occurred_at": change.now,
            "user_id": stored.user_id,
            "operation_key": stored.key,
            "charged": -back,
            "served_engine": stored.engine.value,
            "reason": change.reason,
            "corrects": stored.journal_id,
            "actor": change.actor,
            "context": {"drawn": [-amount for _, amount in undrawn.items()]} if to_packs else None,
            "v2_period_start": stored.v2_period_start,
            "legacy_period_start": stored.legacy_period_start,
            "v2_posted": -lowered[EngineName.V2],
            "legacy_posted": -lowered[EngineName.LEGACY],
        },
    )
    packs.move(session, stored.user_id, journal_id, to_packs)
    if MARK in stored.key and back != NOTHING:
        members.give_back(session, stored.user_id, journal_id, of=stored.journal_id, amounts=back)
    reservations.finalize(session, stored, state=state, journal_id=journal_id, committed=committed)
    return ReservationResult(journal_id, stored.user_id, stored.key, state, stored.amounts, committed, stored.engine)


def _replayed(stored: StoredReservation, state: ReservationState, committed: Amounts) -> ReservationResult:
    """Return the same result for the same request, and refuse any other."""
    if stored.state is not state or stored.committed != committed or stored.finalized_by is None:
        ended = f"with {stored.committed}" if stored.state is ReservationState.COMMITTED else "and gave everything back"
        raise FinalizedDifferentlyError(f"The reservation {own_key(stored.key)!r} was already {stored.state} {ended}.")
    return ReservationResult(
        stored.finalized_by,
        stored.user_id,
        stored.key,
        state,
        stored.amounts,
        stored.committed,
        stored.engine,
        replayed=True,
    )
