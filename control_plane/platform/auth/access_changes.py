"""Who gave others access: made their account, gave it a role or a password, or took its second factor away.

Whoever did so lately may be able to act under that name. Where `APPROVAL_ACCESS_DAYS` says so, they count as one person
with it in whatever takes two people.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform.auth import accounts
from control_plane.platform.models import AuditEntryRow

SUBJECT = "person:"
ACTIONS = tuple(
    f"person.{verb}"
    for verb in (
        "create",
        "change_password",
        "change_role",
        "change_grants",
        "enable",
        "link_identity",
        "remove_second_factor",
    )
)
"""What lets somebody in, or in as more than before. Locking and ending sessions let nobody in."""


def access_givers(session: Session, *, since: datetime, until: datetime) -> Mapping[str, set[str]]:
    """Return who gave or changed access within this time, by username, as the audit trail has it.

    What people change of their own account, and what this program does by itself, gives nobody else access.
    """
    by_others = AuditEntryRow.actor.not_in(accounts.RESERVED), AuditEntryRow.subject != SUBJECT + AuditEntryRow.actor
    within = AuditEntryRow.at >= since, AuditEntryRow.at <= until
    query = select(AuditEntryRow.subject, AuditEntryRow.actor).where(
        AuditEntryRow.action.in_(ACTIONS), *within, *by_others
    )
    found: dict[str, set[str]] = {}
    for subject, actor in session.execute(query):
        found.setdefault(subject.removeprefix(SUBJECT), set()).add(actor)
    return found
