"""Whether legacy would have failed as well what failed around the engines where v2 served it.

Where everybody is on v2 nothing that legacy serves can tell a fault that both have, such as a table that is gone or a
right that was lost, from one of v2's. So the operation, or the end of a reservation, is done once more as legacy's, and
undone; what v2's book could not be read for is read from legacy's.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import NoReturn, TypeVar

import structlog
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm import Session

from control_plane.experiments.credits import CREDITS, FLAG
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
    UnknownUserError,
)
from credits_engine.operations.reservations import (
    CommitTooLargeError,
    FinalizedDifferentlyError,
    UnknownReservationError,
)

LASTS = timedelta(seconds=1)
"""For so long the answer holds for errors of one kind: what fails every operation must not be asked with each."""
ANSWERS = (
    *(UnknownUserError, UnknownPlanError, KeyConflictError, LostRaceError, DataError),
    *(UnknownReservationError, FinalizedDifferentlyError, CommitTooLargeError),
)
"""What is raised about the request, and is no failure."""
LEGACY_SERVES = FlagEvaluation(enabled=False, reason="control check", revision=0)

T = TypeVar("T")
Attempt = Callable[[Session], object]
"""Does as legacy's what failed, in a transaction that is undone."""

log = structlog.get_logger()


class _UndoneError(Exception):
    """Ends the transaction of a check."""


@dataclass(slots=True)
class ControlChecks:
    """The last answers of this process by the kind of error: when legacy was asked, and whether it failed if known."""

    answers: dict[str, tuple[datetime, bool | None]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


CONTROL_CHECKS = AppState[ControlChecks]("control_checks", ControlChecks)


def check_control(account: str, error: Exception, attempt: Attempt, now: datetime) -> None:
    """Tell the guard whether legacy fails as well what v2 served to `account` and what ended with `error`."""
    if request_outcomes.failing_arm(FLAG) == EngineName.V2.value:
        _record(account, error, _kind(error), lambda: _attempt_and_undo(attempt), now)


def read_as(engine: EngineName, read: Callable[[EngineName], T], *, account: str, now: datetime) -> T:
    """Return what `read` makes of the book of `engine`, and raise what it raises.

    Where that is v2's, the guard is told whether legacy's can be read.
    """
    try:
        return read(engine)
    except Exception as error:
        if engine is EngineName.V2:
            _record(account, error, f"reading {_kind(error)}", lambda: read(EngineName.LEGACY), now)
        raise


def check_key() -> str:
    """Return a key for an operation that is done once more: the caller's may have been answered before."""
    return f"control-check-{uuid.uuid4().hex}"


def _record(account: str, error: Exception, kind: str, attempt: Callable[[], object], now: datetime) -> None:
    if isinstance(error, ANSWERS) or is_transient(error):
        return
    failed = _answer(kind, lambda: _fails(attempt), now)
    if failed is not None:
        signals.record(Sample(CREDITS.signals.control_check, bad=failed, account=account))


def _answer(kind: str, ask: Callable[[], bool | None], now: datetime) -> bool | None:
    checks = CONTROL_CHECKS.get()
    # One at a time: who comes meanwhile waits for that answer, as it holds for theirs.
    with checks.lock:
        lasting = {name: each for name, each in checks.answers.items() if each[0] <= now < each[0] + LASTS}
        if kind not in lasting:
            lasting[kind] = (now, ask())
        checks.answers = lasting
        return lasting[kind][1]


def _fails(attempt: Callable[[], object]) -> bool | None:
    try:
        attempt()
    except _UndoneError:
        pass
    except Exception as error:  # whatever it is, it is what legacy's callers would meet
        log.warning("control_check.failed", error=type(error).__name__)
        return None if is_transient(error) else True
    return False


def _attempt_and_undo(attempt: Attempt) -> NoReturn:
    with transaction() as session:
        attempt(session)
        raise _UndoneError


def _kind(error: Exception) -> str:
    code = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return f"{type(error).__name__} {code}"
