"""An organisation and what people do as its members, for tests."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import organisations
from credits_engine.administration.organisations import LEAD
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation, run_reservation
from credits_engine.reconciliation import scheduled
from credits_engine.store import members

NOW = datetime.now(UTC)
LATER = NOW + 2 * LEAD
WHY = ChangeContext(NOW, "alice", "A test.")


def join(user: str, account: str = "acme", **limits: int) -> None:
    with transaction() as session:
        organisations.add(session, user, account, limits, WHY)
    organisations.reload(NOW)


def take(user: str, key: str, now: datetime = LATER, **amounts: int) -> Receipt:
    return run_operation(Operation(user, key, Amounts(**amounts), "test"), now=now)


def hold(user: str, key: str, **amounts: int) -> Receipt:
    operation = Operation(user, key, Amounts(**amounts), "test", EntryType.RESERVE)
    return run_reservation(operation, ttl=timedelta(minutes=15), now=LATER)


def used(user: str) -> Amounts:
    with read_only() as session:
        member = members.find(session, user)
        assert member is not None
        (start,) = {row.period_start for row in session.execute(select(members.ENTRIES.c.period_start))} or {NOW}
        return members.used(session, member, start)


def differences() -> int:
    return scheduled.check_books(LATER, "demand").found


def leave(user: str, at: datetime) -> None:
    with transaction() as session:
        organisations.remove(session, user, ChangeContext(at, "alice", "Left."))
    organisations.reload(at)
