"""An owner approves the corrections that a report proposes; each is posted once, whatever is repeated or interrupted.

The approval is one transaction, each correction another: a batch of thousands holds no lock for long, and what was
interrupted is taken up again by the leader.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext, trimmed
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections
from credits_engine.administration.corrections import Adjustment, CorrectionRefused
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations.consumption import KeyConflictError, UnknownUserError
from credits_engine.operations.routing import flag_lookup
from credits_engine.remediation import store
from credits_engine.remediation.impact import ItemState, ReportState
from credits_engine.remediation.store import Item, Report

POSTED_AT_ONCE = 200
REFUSALS = (CorrectionRefused, KeyConflictError, UnknownUserError, UnknownPlanError)


class UnknownReportError(LookupError):
    """There is no report on that attempt; the message names it."""


class ApprovalRefused(ValueError):  # noqa: N818 - named after what the caller gets
    """The corrections can't be approved as the report stands."""


def find_report(session: Session, flag: str, attempt: int) -> Report:
    """Return the report on that attempt; raises UnknownReportError."""
    report = store.of_attempt(session, flag, attempt)
    if report is None:
        raise UnknownReportError(
            f"There is no report on attempt {attempt} of {flag!r}; one is made within seconds of a rollback."
        )
    return report


def approve(session: Session, flag: str, attempt: int, *, now: datetime, actor: str, reason: str) -> Report:
    """Decide that the proposed credits are given back. Approving again changes nothing.

    Raises UnknownReportError, and ApprovalRefused where no reason is given.
    """
    report = find_report(session, flag, attempt)
    if not trimmed(reason):
        raise ApprovalRefused("Say why: a reason is required.")
    if report.state is not ReportState.PREPARED:
        return report
    if store.approve(session, report.id, now=now, actor=actor, reason=trimmed(reason)):
        accounts, compensation = store.count_by_state(session, report.id)[ItemState.PROPOSED]
        audit.record(
            session,
            ChangeContext(now, actor, reason),
            action="credits.approve_corrections",
            subject=f"rollout:{flag}",
            before={"attempt": attempt, "state": ReportState.PREPARED},
            after={
                "attempt": attempt,
                "state": ReportState.APPROVED,
                "accounts": accounts,
                "owed": str(compensation),
            },
        )
    return find_report(session, flag, attempt)


def post_approved(now: datetime, *, at_most: int = POSTED_AT_ONCE) -> int:
    """Post what was approved and is not posted yet; returns how many accounts were dealt with."""
    with read_only() as session:
        waiting = store.approved(session)
    done = 0
    for report in waiting:
        done += _post(report, now, at_most=at_most - done)
    return done


def _post(report: Report, now: datetime, *, at_most: int) -> int:
    with read_only() as session:
        unposted = store.compensated_accounts(session, report.id, limit=at_most + 1)
    for item in unposted[:at_most]:
        _post_one(report, item, now)
    if len(unposted) <= at_most:
        with transaction() as session:
            store.finish(session, report.id)
    return min(len(unposted), at_most)


def _post_one(report: Report, item: Item, now: datetime) -> None:
    """Post one correction in its own transaction; a book that can't follow is noted, for a person to look at."""
    try:
        with transaction() as session:
            # The key makes it happen once per account and attempt, also where the leader stops between commit and note.
            done = corrections.adjust(
                session,
                Adjustment(item.cost.user_id, item.cost.owed, key=f"rollback:{report.flag}:{report.attempt}"),
                ChangeContext(
                    now,
                    report.decided_by or "",
                    f"Rollback of {report.flag}, attempt {report.attempt}: {report.decision}",
                ),
                evaluate=flag_lookup(session, now),
            )
            store.set_note(session, report.id, replace(item, state=ItemState.POSTED, journal_id=done.journal_id))
    except REFUSALS as refusal:
        with transaction() as session:
            store.set_note(session, report.id, replace(item, state=ItemState.REFUSED, note=str(refusal.args[0])))
