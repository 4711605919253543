"""The check whether a load test passed lately."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.core.checklist import CheckResult, failed, passed, unknown
from control_plane.core.phases import Rollout
from control_plane.platform.auth import audit
from credits_engine.load_test.runner import SUBJECT


def load_test_check(session: Session, _rollout: Rollout, argument: str, now: datetime) -> CheckResult:
    """Check that the last load test passed, at most `argument` days ago."""
    days = int(argument or 30)
    last = next(iter(audit.latest(session, subject=SUBJECT, limit=1)), None)
    if last is None or now - last.at > timedelta(days=days):
        return unknown(f"No load test in {days} days; `rollout load-test` runs one.")
    found = last.after or {}
    figures = f"{found['requests']:,} requests at {found['per_second']:,} a second on {last.at:%Y-%m-%d}"
    if not found["passed"]:
        return failed(f"The load test of {figures} fell short. {' '.join(found['shortfalls'])}")
    return passed(f"{figures}: consumption {found['consume_p95_ms']:g} ms at p95.")
