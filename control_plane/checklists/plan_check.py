"""Refuse a plan that names a check which nothing here answers: its item would never tick itself."""

from sqlalchemy.orm import Session

from control_plane.checklists import checks
from control_plane.core.phases import Plan
from control_plane.core.transitions import Reason


def unknown_checks(_session: Session, _flag: str, plan: Plan) -> list[Reason]:
    """Return a reason for each check that is unknown."""
    items = [(checklist, item) for checklist in plan.checklists for item in checklist.items if item.check]
    known = ", ".join(sorted(checks.CHECKS.get()))
    return [
        Reason(
            "CHECK_UNKNOWN",
            f"Checklist {checklist.name!r}, item {item.name!r}: no check {item.check!r} is known; there are {known}.",
        )
        for checklist, item in items
        if not checks.is_known(item.check)
    ]
