"""The check whether the database's schema is that of this code."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import migrations
from control_plane.core.checklist import CheckResult, failed, passed
from control_plane.core.phases import Rollout
from control_plane.schema_check import code_version


def schema_check(session: Session, _rollout: Rollout, _argument: str, _now: datetime) -> CheckResult:
    """Passed where every migration was applied."""
    found, wanted = migrations.current(session), code_version()
    if found == wanted:
        return passed(f"The schema is at version {found}, which this code is made for.")
    return failed(f"The schema is at version {found}; this code is made for {wanted}.")
