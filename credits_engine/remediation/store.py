"""Reports as they are stored, and the compare-and-set steps from prepared over approved to settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import rowcount_of
from credits_engine.amount_types import summed
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.remediation.impact import AccountImpact, ItemState, ReportState, Total
from credits_engine.remediation.models import RollbackAccount, RollbackReport
from credits_engine.store.tables import ResultRow, insert_if_absent, inserted

REPORT, ACCOUNT = (cast(Table, model.__table__) for model in (RollbackReport, RollbackAccount))
ADD = insert_if_absent(REPORT)
STILL_PROPOSED = ACCOUNT.c.state == ItemState.PROPOSED.value


@dataclass(frozen=True, slots=True)
class Report:
    """The report on the rollback that ended an attempt, and the decision."""

    id: int
    flag: str
    attempt: int
    cause: str
    rolled_back_at: datetime
    since: datetime
    until: datetime
    total: Total
    books_checked: int
    books_differing: int
    state: ReportState
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One account of a report, and what became of the credits proposed for it."""

    cost: AccountImpact
    state: ItemState
    journal_id: int | None = None
    note: str = ""


def add(session: Session, report: Report, costs: Sequence[AccountImpact]) -> bool:
    """Store a report with its accounts; False when the attempt has one already."""
    row = {
        "flag": report.flag,
        "attempt": report.attempt,
        "cause": report.cause,
        "rolled_back_at": report.rolled_back_at,
        "since": report.since,
        "until": report.until,
        "users": report.total.users,
        "operations": report.total.operations,
        "v2": report.total.v2,
        "legacy": report.total.legacy,
        "books_checked": report.books_checked,
        "books_differing": report.books_differing,
        "state": report.state.value,
    }
    if not inserted(session, ADD, row):
        return False
    stored = of_attempt(session, report.flag, report.attempt)
    assert stored is not None
    rows = [_account_row(stored.id, cost) for cost in costs]
    if rows:
        session.execute(insert(ACCOUNT), rows)
    return True


def of_attempt(session: Session, flag: str, attempt: int) -> Report | None:
    """Return the report on the rollback that ended `attempt`."""
    query = select(REPORT).where(REPORT.c.flag == flag, REPORT.c.attempt == attempt)
    row = session.execute(query).one_or_none()
    return _report(row) if row else None


def latest_waiting(session: Session, flag: str) -> Report | None:
    """Return the newest report of the flag that waits for an owner; None where none does."""
    waits = REPORT.c.flag == flag, REPORT.c.state == ReportState.PREPARED.value
    row = session.execute(select(REPORT).where(*waits).order_by(REPORT.c.id.desc()).limit(1)).one_or_none()
    return _report(row) if row else None


def latest(session: Session, *, flag: str | None = None, limit: int = 50) -> list[Report]:
    """Return the last reports, the newest first."""
    query = select(REPORT).order_by(REPORT.c.id.desc()).limit(limit)
    return [_report(row) for row in session.execute(query if flag is None else query.where(REPORT.c.flag == flag))]


def approved(session: Session) -> list[Report]:
    """Return the reports whose corrections are not all posted yet."""
    query = select(REPORT).where(REPORT.c.state == ReportState.APPROVED.value).order_by(REPORT.c.id)
    return [_report(row) for row in session.execute(query)]


def items(session: Session, report_id: int, *, after: str = "", limit: int = 200) -> list[Item]:
    """Return the accounts of a report by user id, beginning after that one."""
    query = select(ACCOUNT).where(ACCOUNT.c.report_id == report_id, ACCOUNT.c.user_id > after)
    return [_item(row) for row in session.execute(query.order_by(ACCOUNT.c.user_id).limit(limit))]


def compensated_accounts(session: Session, report_id: int, *, limit: int) -> list[Item]:
    """Return the next accounts whose credits are proposed and neither posted nor refused."""
    query = select(ACCOUNT).where(ACCOUNT.c.report_id == report_id, STILL_PROPOSED)
    return [_item(row) for row in session.execute(query.order_by(ACCOUNT.c.user_id).limit(limit))]


def count_by_state(session: Session, report_id: int) -> dict[ItemState, tuple[int, Amounts]]:
    """Count the accounts in each state, and sum the credits they are owed."""
    query = select(ACCOUNT.c.state, func.count(), summed(ACCOUNT.c.owed)).where(ACCOUNT.c.report_id == report_id)
    return {
        ItemState(state): (accounts, owed) for state, accounts, owed in session.execute(query.group_by(ACCOUNT.c.state))
    }


def approve(session: Session, report_id: int, *, now: datetime, actor: str, reason: str) -> bool:
    """Take a report from prepared to approved; False when somebody did so before."""
    change = update(REPORT).where(REPORT.c.id == report_id, REPORT.c.state == ReportState.PREPARED.value)
    decided = {"decided_by": actor, "decided_at": now, "decision": reason}
    return rowcount_of(session, change.values(state=ReportState.APPROVED.value, **decided)) == 1


def finish(session: Session, report_id: int) -> bool:
    """Take a report from approved to settled; False when somebody did so before."""
    change = update(REPORT).where(REPORT.c.id == report_id, REPORT.c.state == ReportState.APPROVED.value)
    return rowcount_of(session, change.values(state=ReportState.SETTLED.value)) == 1


def set_note(session: Session, report_id: int, item: Item) -> None:
    """Record the outcome for an account; of two concurrent writers the first one's note stays."""
    session.execute(
        update(ACCOUNT)
        .where(ACCOUNT.c.report_id == report_id, ACCOUNT.c.user_id == item.cost.user_id, STILL_PROPOSED)
        .values(state=item.state.value, journal_id=item.journal_id, note=item.note)
    )


def _account_row(report_id: int, cost: AccountImpact) -> dict[str, object]:
    return {
        "report_id": report_id,
        "user_id": cost.user_id,
        "operations": cost.operations,
        "failed": cost.failed,
        "refused": cost.refused,
        "v2": cost.v2,
        "legacy": cost.legacy,
        "owed": cost.owed,
        "state": (ItemState.NONE if cost.owed == NOTHING else ItemState.PROPOSED).value,
        "note": "",
    }


def _report(row: ResultRow) -> Report:
    return Report(
        id=row.id,
        flag=row.flag,
        attempt=row.attempt,
        cause=row.cause,
        rolled_back_at=row.rolled_back_at,
        since=row.since,
        until=row.until,
        total=Total(row.users, row.operations, row.v2, row.legacy),
        books_checked=row.books_checked,
        books_differing=row.books_differing,
        state=ReportState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision=row.decision,
    )


def _item(row: ResultRow) -> Item:
    cost = AccountImpact(row.user_id, row.operations, row.failed, row.refused, row.v2, row.legacy, row.owed)
    return Item(cost, ItemState(row.state), row.journal_id, row.note)
