"""The checks of this program itself: whether its routes answer, and whether the schema is that of this code."""

from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane import migrations
from control_plane.core.checklist import CheckResult, failed, passed
from control_plane.core.phases import Rollout
from control_plane.schema_check import code_version

NOT_FOUND, FAILED = 404, 500


def route_check(_session: Session, _rollout: Rollout, argument: str, _now: datetime) -> CheckResult:
    """Check that each path in `argument`, separated by commas, is answered, though it be with a refusal."""
    client = current_app.test_client(use_cookies=False)
    answers = {path: client.get(path).status_code for path in argument.split(",")}
    broken = [f"{path} ({status})" for path, status in answers.items() if status in {NOT_FOUND} or status >= FAILED]
    if broken:
        return failed(f"{', '.join(broken)} is not answered.")
    return passed(f"{', '.join(answers)} is answered.")


def schema_check(session: Session, _rollout: Rollout, _argument: str, _now: datetime) -> CheckResult:
    """Check that every migration was applied."""
    found, wanted = migrations.current(session), code_version()
    if found == wanted:
        return passed(f"The schema is at version {found}, which this code is made for.")
    return failed(f"The schema is at version {found}; this code is made for {wanted}.")
