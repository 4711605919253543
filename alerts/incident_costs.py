"""What an incident cost whom, as a sentence beside its reason: known to the package that charges, if there is one."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from control_plane.core.phases import Rollout
from control_plane.platform.db.database import read_only
from control_plane.rollouts import blast_radius

LONGEST = timedelta(days=1)

log = structlog.get_logger()


def cost_sentence(rollout: Rollout, now: datetime) -> str:
    """Say what is to be given back for this step, a day at most; empty where nothing is or where nobody can tell.

    It is read outside of the guard's transaction: that it can't be read must not keep a rollback from happening.
    """
    try:
        with read_only() as session:
            due = blast_radius.compensation_due(session, rollout.flag, max(rollout.entered_at, now - LONGEST))
    except SQLAlchemyError as error:
        log.warning("guard.cost_unknown", flag=rollout.flag, error=type(error).__name__)
        return ""
    if not due.credits:
        return ""
    users = "1 user is" if due.users == 1 else f"{due.users:,} users are"
    amount = "1 credit" if due.credits == 1 else f"{due.credits:,} credits"
    return f"{users} owed {amount} so far."
