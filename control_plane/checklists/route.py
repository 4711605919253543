"""The check whether routes of this program answer."""

from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.core.checklist import CheckResult, failed, passed
from control_plane.core.phases import Rollout

NOT_FOUND, FAILED = 404, 500


def route_check(_session: Session, _rollout: Rollout, argument: str, _now: datetime) -> CheckResult:
    """Passed where every path in `argument` is answered, though it be with a refusal; paths have commas between."""
    client = current_app.test_client(use_cookies=False)
    answers = {path: client.get(path).status_code for path in argument.split(",")}
    broken = [
        f"{path} answers {status}" for path, status in answers.items() if status in {NOT_FOUND} or status >= FAILED
    ]
    if broken:
        return failed(f"{', '.join(broken)}.")
    return passed(f"{', '.join(answers)} is answered.")
