"""The credits' part in checklists: books, functions, a restore, users who were migrated, and whether legacy may go."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.checklist import CheckResult, failed, passed, unknown
from control_plane.core.phases import Rollout, exposure
from control_plane.platform.auth import audit
from control_plane.platform.db.database import is_postgresql
from credits_engine.migration import retirement
from credits_engine.migration.restore_test import SUBJECT as RESTORE_TEST_SUBJECT
from credits_engine.store import check_results, period_openings

BOOKS_AGE = timedelta(hours=26)
"""The whole journal is read once a day."""
FUNCTIONS = ("consume_credits", "get_or_create_active_period")
PAGE = 1_000
LONG = timedelta(hours=1)
"""How often the checks run that go through all users."""


def books_check(session: Session, _rollout: Rollout, _argument: str, now: datetime) -> CheckResult:
    """Check that the last comparison with the journal found no difference."""
    last = check_results.latest_run(session)
    if last is None or now - last.at > BOOKS_AGE:
        return unknown("The books were not compared with the journal for a day; see that a server runs.")
    if last.found:
        return failed(f"{last.found:,} of {last.checked:,} books differ; `rollout credits verify` lists them.")
    return passed(f"{last.checked:,} books agree with the journal, as compared at {last.at:%Y-%m-%d %H:%M} UTC.")


def functions_check(session: Session, _rollout: Rollout, _argument: str, _now: datetime) -> CheckResult:
    """Check that PostgreSQL has the functions; on SQLite the application does their work."""
    if not is_postgresql(session):
        return passed("SQLite has no functions; the application does their work.")
    query = text("SELECT proname FROM pg_proc WHERE proname = ANY(:names) AND pg_function_is_visible(oid)")
    found = set(session.scalars(query, {"names": list(FUNCTIONS)}))
    missing = [name for name in FUNCTIONS if name not in found]
    if missing:
        return failed(f"The database has no function {' and no '.join(missing)}; `rollout db upgrade` makes it.")
    return passed(f"The database has {' and '.join(FUNCTIONS)}.")


def restore_test_check(session: Session, _rollout: Rollout, argument: str, now: datetime) -> CheckResult:
    """Check that the last restore test passed, at most `argument` days ago."""
    days = int(argument or 30)
    last = next(iter(audit.latest(session, subject=RESTORE_TEST_SUBJECT, limit=1)), None)
    if last is None or now - last.at > timedelta(days=days):
        return unknown(f"No restore test in {days} days; `rollout restore-test` runs one.")
    if not (last.after or {})["passed"]:
        return failed(f"The restore test of {last.at:%Y-%m-%d} lost something.")
    return passed(f"A restore test passed on {last.at:%Y-%m-%d}.")


def everybody_check(session: Session, rollout: Rollout, _argument: str, now: datetime) -> CheckResult:
    """Check that v2 serves everyone in production and each known user has a running period."""
    if exposure(rollout, PRODUCTION).everyone_percentage < 100:
        return failed("v2 does not serve everybody yet.")
    page = period_openings.without_period(session, after="", now=now, page=PAGE)
    missing = len(page.users)
    while page.last:
        page = period_openings.without_period(session, after=page.last, now=now, page=PAGE)
        missing += len(page.users)
    if missing:
        return unknown(f"{missing:,} users have no running period; each gets one with the next request.")
    return passed("v2 serves everybody, and each known user has a running period.")


def retirement_check(session: Session, _rollout: Rollout, _argument: str, now: datetime) -> CheckResult:
    """Check that legacy could be retired but for the backup and the full comparison that retiring itself asks for."""
    missing = [check.detail for check in retirement.quick_checks(session, now) if not check.passed]
    if missing:
        return failed(" ".join(missing))
    return passed("`rollout credits retire-legacy` may be run.")
