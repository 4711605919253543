"""Reports in the words of the API, of a terminal and of spreadsheets."""

from collections.abc import Iterator, Mapping

from credits_engine.api.serializers import Document, by_kind, instant
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.remediation.impact import AccountImpact, ItemState
from credits_engine.remediation.store import Item, Report

StateCounts = Mapping[ItemState, tuple[int, Amounts]]


def report_document(report: Report, counts: StateCounts) -> Document:
    """Serialize a report and the state of its corrections."""
    return {
        "flag": report.flag,
        "attempt": report.attempt,
        "cause": report.cause,
        "rolledBackAt": instant(report.rolled_back_at),
        "since": instant(report.since),
        "until": instant(report.until),
        "users": report.total.users,
        "operations": report.total.operations,
        "v2Charged": by_kind(report.total.v2),
        "legacyWouldHaveCharged": by_kind(report.total.legacy),
        "booksChecked": report.books_checked,
        "booksDiffering": report.books_differing,
        "state": report.state,
        "accounts": {state.value: _accounts(*found) for state, found in counts.items()},
        "decidedBy": report.decided_by,
        "decidedAt": instant(report.decided_at) if report.decided_at else None,
        "decision": report.decision,
    }


def item_document(item: Item) -> Document:
    """Serialize one account's cost and compensation."""
    cost = item.cost
    return {
        "userId": cost.user_id,
        "operations": cost.operations,
        "failed": cost.failed,
        "refused": cost.refused,
        "v2Charged": by_kind(cost.v2),
        "legacyWouldHaveCharged": by_kind(cost.legacy),
        "owed": by_kind(cost.owed),
        "state": item.state,
        "operationId": item.journal_id,
        "note": item.note,
    }


def sheet_columns() -> tuple[str, ...]:
    """Return the names of a sheet's columns."""
    amounts = (name for what in ("v2", "legacy", "owed") for name in (f"{what}_{kind}" for kind in KINDS))
    return ("user_id", "operations", "failed", "refused", *amounts, "state", "operation_id", "note")


def sheet_row(item: Item) -> tuple[object, ...]:
    """Return the cells under `sheet_columns`."""
    cost = item.cost
    amounts = (amount for each in (cost.v2, cost.legacy, cost.owed) for _, amount in each.items())
    counts = (cost.operations, cost.failed, cost.refused)
    return (cost.user_id, *counts, *amounts, item.state.value, item.journal_id, item.note)


def report_lines(report: Report, counts: StateCounts) -> Iterator[str]:
    """Yield a report for a terminal."""
    span = f"{report.since:%Y-%m-%d %H:%M:%S} to {report.until:%H:%M:%S} UTC"
    yield f"{report.flag}, attempt {report.attempt}, rolled back at {report.rolled_back_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  because: {report.cause}"
    yield f"  {span}: v2 served {report.total.operations:,} operations of {report.total.users:,} users,"
    yield f"  charged {report.total.v2}; legacy would have charged {report.total.legacy}"
    yield f"  books: {report.books_checked:,} rows checked, {report.books_differing} differ"
    for state, (accounts, owed) in sorted(counts.items()):
        yield f"  corrections {state}: {accounts:,} accounts, {owed}"
    decided = f" by {report.decided_by}: {report.decision}" if report.decided_by else ""
    yield f"  {report.state}{decided}"


def item_line(item: Item) -> str:
    """Return one account for a terminal."""
    cost: AccountImpact = item.cost
    ended = f" as journal row {item.journal_id}" if item.journal_id else f": {item.note}" if item.note else ""
    return (
        f"    {cost.user_id}: {cost.operations} differ, {cost.failed} failed, {cost.refused} refused; "
        f"v2 {cost.v2}, legacy {cost.legacy}; owed {cost.owed}, {item.state}{ended}"
    )


def _accounts(accounts: int, owed: Amounts) -> Document:
    return {"accounts": accounts, "owed": by_kind(owed)}
