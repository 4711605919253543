"""The kinds of gate that a plan may ask for: each reads the plan of a phase and answers with a result for each wish."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.gates.calendar import calendar_gate
from control_plane.core.gates.http_check import http_check_gate
from control_plane.core.gates.recency import LastRun, recency_gate
from control_plane.core.gates.result import GateResult
from control_plane.core.phases import LOWEST, Rollout
from control_plane.platform.extensions import AppState
from control_plane.rollouts import approvals, http_checks

GateKind = Callable[[Session, Rollout, datetime, str], Iterable[GateResult]]
"""Answers for the plan of the present phase, given the present and who asks for the advance."""

LastRunQuery = Callable[[Session], LastRun | None]
"""The last run of something such as a drill; None where none is recorded."""

LAST_RUNS = AppState[dict[str, LastRunQuery]]("last_runs", dict)


def register_last_run(name: str, query: LastRunQuery) -> None:
    """Let plans ask that `name` passed lately; call it inside an application context."""
    LAST_RUNS.get()[name] = query


def register_gate_kind(name: str, kind: GateKind) -> None:
    """Let `kind` answer for what plans ask; call it inside an application context."""
    GATE_KINDS.get()[name] = kind


def plan_gates(session: Session, rollout: Rollout, now: datetime, asker: str = "") -> list[GateResult]:
    """Evaluate every gate that the plan asks for in the present phase."""
    return [result for kind in GATE_KINDS.get().values() for result in kind(session, rollout, now, asker)]


def calendar_of_lowest(rollout: Rollout, now: datetime) -> Iterator[GateResult]:
    """Yield what the calendar of the lowest step says, where it has one: a new attempt lets users in there."""
    if calendar := rollout.plan.phases[LOWEST.phase].gates.calendar:
        yield calendar_gate(calendar, now)


def _calendar(_session: Session, rollout: Rollout, now: datetime, _asker: str) -> Iterator[GateResult]:
    if calendar := rollout.phase.gates.calendar:
        yield calendar_gate(calendar, now)


def _approvals(session: Session, rollout: Rollout, now: datetime, asker: str) -> Iterator[GateResult]:
    if wanted := rollout.phase.gates.approvals:
        yield approvals.gate(session, rollout, wanted, asker, now)


def _recency(session: Session, rollout: Rollout, now: datetime, _asker: str) -> Iterator[GateResult]:
    wanted = rollout.phase.gates
    for name, what, days in (
        ("drill", "A drill of the guard", wanted.drill_days),
        ("restore_test", "A restore test", wanted.restore_test_days),
    ):
        if days is not None:
            query = LAST_RUNS.get().get(name)
            yield recency_gate(name, what, days, query(session) if query else None, now)


def _http_checks(session: Session, rollout: Rollout, now: datetime, _asker: str) -> Iterator[GateResult]:
    for check in rollout.phase.gates.http_checks:
        yield http_check_gate(check, http_checks.latest(session, check), now)


GATE_KINDS = AppState[dict[str, GateKind]](
    "gate_kinds",
    lambda: {"calendar": _calendar, "approvals": _approvals, "recency": _recency, "http_checks": _http_checks},
)
