"""The checks by which items tick themselves; each package registers what it can see."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.core.checklist import CheckResult, unknown
from control_plane.core.phases import Plan, Rollout
from control_plane.core.transitions import Reason
from control_plane.platform.extensions import AppState

Check = Callable[[Session, Rollout, str, datetime], CheckResult]
"""Looks at one thing: it is given the rollout, the argument after the colon, and the present."""
OFTEN = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class _RegisteredCheck:
    check: Check
    every: timedelta
    of_production: bool


CHECKS = AppState[dict[str, _RegisteredCheck]]("checklist_checks", dict)


def register_check(kind: str, check: Check, *, every: timedelta = OFTEN, of_production: bool = True) -> None:
    """Let plans name `check` as `kind` or `kind:argument`; one that costs much is run less often.

    With `of_production` it looks at production, and says nothing of another environment.
    """
    CHECKS.get()[kind] = _RegisteredCheck(check, every, of_production)


def every(name: str) -> timedelta:
    """Return how often the check of that name is run."""
    found = CHECKS.get().get(name.partition(":")[0])
    return found.every if found else OFTEN


def is_known(name: str) -> bool:
    """Return whether something is registered that answers the check of that name."""
    return name.partition(":")[0] in CHECKS.get()


def unknown_checks(_session: Session, _flag: str, plan: Plan) -> list[Reason]:
    """Return a reason to refuse `plan` for each check that nothing here answers: its item would never tick itself."""
    items = [(checklist, item) for checklist in plan.checklists for item in checklist.items if item.check]
    known = ", ".join(sorted(CHECKS.get()))
    return [
        Reason(
            "CHECK_UNKNOWN",
            f"Checklist {checklist.name!r}, item {item.name!r}: no check {item.check!r} is known; there are {known}.",
        )
        for checklist, item in items
        if not is_known(item.check)
    ]


def run(session: Session, rollout: Rollout, name: str, now: datetime) -> CheckResult:
    """Return what the check of that name finds."""
    kind, _, argument = name.partition(":")
    found = CHECKS.get().get(kind)
    if found is None:
        return unknown(f"No check {kind!r} is known here.")
    if rollout.plan.is_of_one_environment and found.of_production:
        return unknown(
            f"This looks at production, which says nothing of {rollout.plan.environment}; a person signs it."
        )
    return found.check(session, rollout, argument, now)
