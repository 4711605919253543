"""One operation from the edge: its transaction, repeated when another request took the same key, and its signals."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.platform import signals
from control_plane.platform.database import transaction
from credits_engine.consumption import LostRaceError, Operation, consume
from credits_engine.evidence import excused, observations
from credits_engine.receipts import Receipt
from credits_engine.reservations import reserve
from credits_engine.routing import evaluate_flag

ATTEMPTS = 3


def serve(operation: Operation, *, now: datetime) -> Receipt:
    """Answer `operation` in a transaction of its own and tell the guard once that is committed.

    Raises what `consume` raises; LostRaceError only if every attempt met somebody else's.
    """
    return _answered(lambda session: consume(session, operation, now=now, evaluate=evaluate_flag(session, now)))


def serve_reservation(operation: Operation, *, ttl: timedelta, now: datetime) -> Receipt:
    """The same for an operation that is held until it is settled."""
    return _answered(
        lambda session: reserve(session, operation, now=now, evaluate=evaluate_flag(session, now), ttl=ttl)
    )


def _answered(decide: Callable[[Session], Receipt]) -> Receipt:
    for attempt in range(ATTEMPTS):
        try:
            with transaction() as session:
                receipt = decide(session)
            break
        except LostRaceError:
            if attempt == ATTEMPTS - 1:
                raise
    signals.record(*observations(receipt), *excused(receipt))
    return receipt
