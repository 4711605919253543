"""One operation from the edge: its transaction, repeated when another request took the same key, and its signals."""

from datetime import datetime

from control_plane.platform import signals
from control_plane.platform.database import transaction
from credits_engine.consumption import LostRaceError, Operation, consume
from credits_engine.evidence import observations
from credits_engine.receipts import Receipt
from credits_engine.routing import evaluate_flag

ATTEMPTS = 3


def serve(operation: Operation, *, now: datetime) -> Receipt:
    """Answer `operation` in a transaction of its own and tell the guard once that is committed.

    Raises what `consume` raises; LostRaceError only if every attempt met somebody else's.
    """
    for attempt in range(ATTEMPTS):
        try:
            with transaction() as session:
                receipt = consume(session, operation, now=now, evaluate=evaluate_flag(session, now))
            break
        except LostRaceError:
            if attempt == ATTEMPTS - 1:
                raise
    signals.record(*observations(receipt))
    return receipt
