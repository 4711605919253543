"""What a fresh installation needs before its first request: the guide's rollout and somebody who may sign in."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts, store
from control_plane.phases import FLAG, guide_plan
from control_plane.platform import identity


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What was made just now; `owner_password` is None when somebody could sign in already."""

    planned: bool
    owner_password: str | None


def prepare(session: Session, now: datetime) -> FirstStart:
    """Make what is missing and leave everything else as it is."""
    planned = store.load(session, FLAG) is None
    if planned:
        plan = guide_plan(new_signups_after=now)
        rollouts.plan(session, FLAG, plan, now=now, actor="system", reason="The Credits v2 rollout guide.")
    return FirstStart(planned, identity.ensure_first_owner(session, now))
