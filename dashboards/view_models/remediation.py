"""The cost of a rolled back attempt, per account, and the corrections that wait for an owner."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.remediation import approval, store
from credits_engine.remediation.impact import ItemState, ReportState
from credits_engine.remediation.store import Item, Report

PAGE_ACCOUNTS = 200


@dataclass(frozen=True, slots=True)
class RemediationView:
    """A report in short."""

    report: Report
    differing: int
    """Accounts on which the engines did not simply agree."""
    due: int
    """Accounts that are owed credits, whether or not they have them by now."""
    owed: Amounts
    refused: int
    """Accounts whose book could not follow."""

    @property
    def waits(self) -> bool:
        """Return whether an owner has to decide."""
        return self.report.state is ReportState.PREPARED


@dataclass(frozen=True, slots=True)
class RemediationScreen:
    """A report with its accounts, a page of them."""

    now: datetime
    view: RemediationView
    items: tuple[Item, ...]
    next_after: str | None


def of_rollout(session: Session, rollout: Rollout) -> RemediationView | None:
    """Return the report on the rollback that ended this attempt, or that of an earlier one for as long as it waits."""
    report = None
    if rollout.latched:
        report = store.of_attempt(session, rollout.flag, rollout.attempt)
    elif rollout.attempt > 1:
        report = store.latest_waiting(session, rollout.flag)
    return _view(session, report) if report else None


def read(session: Session, flag: str, attempt: int, *, after: str, now: datetime) -> RemediationScreen:
    """Return one report in full; raises UnknownReportError."""
    view = _view(session, approval.find_report(session, flag, attempt))
    items = store.items(session, view.report.id, after=after, limit=PAGE_ACCOUNTS + 1)
    more = len(items) > PAGE_ACCOUNTS
    listed = tuple(items[:PAGE_ACCOUNTS])
    return RemediationScreen(now, view, listed, listed[-1].cost.user_id if more else None)


def _view(session: Session, report: Report) -> RemediationView:
    counts = store.count_by_state(session, report.id)
    due = {state: found for state, found in counts.items() if state is not ItemState.NONE}
    return RemediationView(
        report=report,
        differing=sum(accounts for accounts, _ in counts.values()),
        due=sum(accounts for accounts, _ in due.values()),
        owed=sum((owed for _, owed in due.values()), NOTHING),
        refused=counts.get(ItemState.REFUSED, (0, NOTHING))[0],
    )
