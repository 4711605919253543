"""Set up a fresh installation: the guide's rollout and a first owner."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists.guide import guide_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import store


@dataclass(frozen=True, slots=True)
class BootstrapResult:
    """The result of a start; `owner_password` is None when an owner existed already."""

    planned: bool
    owner_password: str | None


def bootstrap(session: Session, now: datetime) -> BootstrapResult:
    """Make what is missing and leave everything else as it is."""
    planned = store.load(session, FLAG) is None
    if planned:
        # Two processes that start together plan once: the second waits here, and finds what the first has committed.
        change_feed.lock_commit_order(session)
        planned = store.load(session, FLAG) is None
    if planned:
        plan = guide_plan(new_signups_after=now)
        rollouts.plan(session, FLAG, plan, ChangeContext(now, "system", "The Credits v2 rollout guide."))
    return BootstrapResult(planned, accounts.ensure_first_owner(session, now))
