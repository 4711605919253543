"""The names of deleted rollouts: another one counts on from it, and no sooner than its cool-down is over."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout
from control_plane.core.transitions import Action, Reason
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import Entry

COOL_DOWN_ENDS = "cool_down_ends"
"""In the evidence of the entry about the deletion of one that was rolled back."""


def cooling_down(session: Session, flag: str, now: datetime) -> list[Reason]:
    """Return the refusal of a name whose rollout was rolled back and then deleted: that does not end its cool-down."""
    deleted = _deletion(session, flag)
    ends = deleted.after["evidence"].get(COOL_DOWN_ENDS) if deleted and deleted.after else None
    if ends is None or now >= (until := datetime.fromisoformat(ends)):
        return []
    sentence = f"The rollout of {flag} was rolled back before it was deleted; its cool-down lasts until"
    return [Reason("COOL_DOWN", f"{sentence} {until:%Y-%m-%d %H:%M} UTC.")]


def beyond_deleted(session: Session, rollout: Rollout) -> Rollout:
    """Count on from a deleted rollout of the same name: forms and evidence of that one say nothing about this one."""
    deleted = _deletion(session, rollout.flag)
    if deleted is None or deleted.after is None:
        return rollout
    return replace(rollout, version=deleted.after["version"] + 1, attempt=deleted.after["attempt"] + 1)


def _deletion(session: Session, flag: str) -> Entry | None:
    entries = audit.latest(session, subject=f"rollout:{flag}")
    return next((entry for entry in entries if entry.action == f"rollout.{Action.DELETE}"), None)
