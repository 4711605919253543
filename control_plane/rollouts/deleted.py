"""The names of deleted rollouts: another one counts on from it, and no sooner than its cool-down is over."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout
from control_plane.core.transitions import Action, Reason
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import AuditEntry

DELETED = f"rollout.{Action.DELETE}"
DELETED_MAX = 1000
COOL_DOWN_ENDS = "cool_down_ends"
"""In the evidence of the entry about the deletion of one that was rolled back."""


def cooling_down(session: Session, flags: Iterable[str], now: datetime) -> dict[str, Reason]:
    """Return why the name of one that was rolled back and then deleted is not free yet: its cool-down goes on."""
    names, found = {f"rollout:{flag}": flag for flag in flags}, {}
    # The oldest first, so that of several of one name the last one counts.
    for entry in reversed(audit.latest(session, action=DELETED, limit=DELETED_MAX)):
        if entry.subject in names and entry.after:
            found[names[entry.subject]] = entry.after["evidence"].get(COOL_DOWN_ENDS)
    return {flag: _reason(flag, ends) for flag, ends in found.items() if ends and now < datetime.fromisoformat(ends)}


def beyond_deleted(session: Session, rollout: Rollout) -> Rollout:
    """Count on from a deleted rollout of the same name: forms and evidence of that one say nothing about this one."""
    deleted = _deletion(session, rollout.flag)
    if deleted is None or deleted.after is None:
        return rollout
    return replace(rollout, version=deleted.after["version"] + 1, attempt=deleted.after["attempt"] + 1)


def was_rolled_back(session: Session, flag: str) -> bool:
    """Return whether the last rollout of this name was deleted while it was rolled back."""
    deleted = _deletion(session, flag)
    return bool(deleted and deleted.after and deleted.after["evidence"].get(COOL_DOWN_ENDS))


def _reason(flag: str, ends: str) -> Reason:
    sentence = f"The rollout of {flag} was rolled back before it was deleted; its cool-down lasts until"
    return Reason("COOL_DOWN", f"{sentence} {datetime.fromisoformat(ends):%Y-%m-%d %H:%M} UTC.")


def _deletion(session: Session, flag: str) -> AuditEntry | None:
    return next(iter(audit.latest(session, subject=f"rollout:{flag}", action=DELETED, limit=1)), None)
