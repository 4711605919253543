"""The report on a rollback: made once per attempt, a few seconds after the latch, from the journal alone."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.amounts import NOTHING
from credits_engine.reconciliation import scheduled
from credits_engine.remediation import queries as journal
from credits_engine.remediation import store
from credits_engine.remediation.impact import LONGEST_BAD_TIME, AccountImpact, ReportState, incident_began_at
from credits_engine.remediation.store import Report

ACTOR = "credits"
IN_FLIGHT = timedelta(seconds=10)
"""An operation ends on the engine it started on; by then those that began before the latch are in the journal."""

log = structlog.get_logger()


def due(session: Session, now: datetime) -> Rollout | None:
    """Return the rollout whose rollback has to be reported on now."""
    rollout = rollout_store.load(session, FLAG)
    if rollout is None or not rollout.latched or now < rollout.state_changed_at + IN_FLIGHT:
        return None
    return rollout if store.of_attempt(session, FLAG, rollout.attempt) is None else None


def prepare(now: datetime) -> Report | None:
    """Report on a rollback that nobody has reported on yet: the books are compared, the costs added up, all stored."""
    with read_only() as session:
        rollout = due(session, now)
    if rollout is None:
        return None
    books = scheduled.check_books(now, "rollback")
    with transaction() as session:
        report, costs = _composed(session, rollout, now, books_checked=books.checked, books_differing=books.found)
        # Another leader was faster: its report stands, and this one's is discarded.
        if not store.add(session, report, costs):
            return None
        _record(session, report, costs, now)
    log.warning("credits.remediation", flag=report.flag, attempt=report.attempt, accounts=len(costs))
    return report


def _composed(
    session: Session, rollout: Rollout, now: datetime, *, books_checked: int, books_differing: int
) -> tuple[Report, list[AccountImpact]]:
    ended = rollout.state_changed_at
    earlier = store.latest(session, flag=rollout.flag, limit=1)
    first = journal.first_difference(session, since=ended - LONGEST_BAD_TIME, until=now)
    # Not before the end of the last report's time: what was given back once must not be given back again.
    since = incident_began_at(ended, first_difference=first, not_before=earlier[0].until if earlier else None)
    costs = journal.costs(session, since=since, until=now)
    report = Report(
        id=0,
        flag=rollout.flag,
        attempt=rollout.attempt,
        cause=rollout.state_reason,
        rolled_back_at=ended,
        since=since,
        until=now,
        total=journal.total(session, since=since, until=now),
        books_checked=books_checked,
        books_differing=books_differing,
        state=ReportState.PREPARED if any(cost.owed != NOTHING for cost in costs) else ReportState.SETTLED,
    )
    return report, costs


def _record(session: Session, report: Report, costs: list[AccountImpact], now: datetime) -> None:
    """Say so in the audit trail, beside the rollback itself."""
    owed = [cost.owed for cost in costs if cost.owed != NOTHING]
    audit.record(
        session,
        ChangeContext(
            now,
            ACTOR,
            (
                f"v2 served {report.total.operations:,} operations of {report.total.users:,} users during the "
                f"incident; {len(owed):,} accounts are owed credits."
            ),
        ),
        action="credits.report_rollback",
        subject=f"rollout:{report.flag}",
        after={
            "attempt": report.attempt,
            "since": report.since.isoformat(),
            "until": report.until.isoformat(),
            "accounts": len(costs),
            "owed": str(sum(owed, NOTHING)),
            "books_differing": report.books_differing,
        },
    )
