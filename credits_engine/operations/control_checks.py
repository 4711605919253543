"""Whether legacy would have failed an operation as well that failed around the engines where v2 served it.

Where everybody is on v2 nothing that legacy serves can tell a fault that both have, such as a table that is gone or a
right that was lost, from one of v2's. So the operation is done once more as legacy's, and undone.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import NoReturn

import structlog
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm import Session

from control_plane.core.phases import FLAG
from control_plane.experiments.credits import CREDITS
from control_plane.platform.db.database import transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import request_outcomes, signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.problems import is_transient
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations.consumption import (
    FlagEvaluation,
    KeyConflictError,
    LostRaceError,
    Operation,
    UnknownUserError,
)

LASTS = timedelta(seconds=1)
"""For so long the answer holds for errors of one kind: what fails every operation must not be asked with each."""
ANSWERS = (UnknownUserError, UnknownPlanError, KeyConflictError, LostRaceError, DataError)
"""What is raised about the request, and is no failure."""
LEGACY_SERVES = FlagEvaluation(enabled=False, reason="control check", revision=0)

Attempt = Callable[[Session, Operation], object]
"""Does an operation as legacy's in a transaction that is undone."""

log = structlog.get_logger()


class _UndoneError(Exception):
    """Ends the transaction of a check."""


@dataclass(slots=True)
class ControlChecks:
    """The last answer of this process by the kind of error: when legacy was asked, and whether it failed if known."""

    answers: dict[str, tuple[datetime, bool | None]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


CONTROL_CHECKS = AppState[ControlChecks]("control_checks", ControlChecks)


def check_control(operation: Operation, error: Exception, attempt: Attempt, now: datetime) -> None:
    """Tell the guard whether legacy fails an operation as well that v2 served and that ended with `error`."""
    if isinstance(error, ANSWERS) or is_transient(error):
        return
    if request_outcomes.failing_arm(FLAG) != EngineName.V2.value:
        return
    failed = _answer(_kind(error), lambda: _fails(operation, attempt), now)
    if failed is not None:
        signals.record(Sample(CREDITS.signals.control_check, bad=failed, account=operation.user_id))


def _answer(kind: str, ask: Callable[[], bool | None], now: datetime) -> bool | None:
    checks = CONTROL_CHECKS.get()
    # One at a time: who comes meanwhile waits for that answer, as it holds for theirs.
    with checks.lock:
        known = checks.answers.get(kind)
        if known is None or not known[0] <= now < known[0] + LASTS:
            known = (now, ask())
            checks.answers = {kind: known}
        return known[1]


def _fails(operation: Operation, attempt: Attempt) -> bool | None:
    try:
        _attempt_and_undo(operation, attempt)
    except _UndoneError:
        return False
    except Exception as error:  # whatever it is, it is what legacy's callers would meet
        log.warning("control_check.failed", error=type(error).__name__)
        return None if is_transient(error) else True


def _attempt_and_undo(operation: Operation, attempt: Attempt) -> NoReturn:
    with transaction() as session:
        # Under a key of its own: the caller's may have been answered before.
        attempt(session, replace(operation, key=f"control-check-{uuid.uuid4().hex}"))
        raise _UndoneError


def _kind(error: Exception) -> str:
    code = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return f"{type(error).__name__} {code}"
