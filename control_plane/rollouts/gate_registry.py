"""The gates of an advance, and of a new attempt: those that plans ask for, and those that other packages register."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.gates import GateResult, LastRun, calendar_gate, http_check_gate, recency_gate
from control_plane.core.phases import LOWEST, Rollout
from control_plane.platform.extensions import AppState
from control_plane.rollouts import approvals, store

GateKind = Callable[[Session, Rollout, datetime, str], Iterable[GateResult]]
"""Answers for the plan of the present phase, given the present and who asks for the advance."""

LastRunQuery = Callable[[Session], LastRun | None]
"""The last run of something such as a drill; None where none is recorded."""

Gate = Callable[[Session, Rollout, datetime], GateResult]
"""Answers whether a rollout may go on; registered by the packages above."""

ADVANCE_GATES = AppState[dict[str, Gate]]("advance_gates", dict)
REARM_GATES = AppState[dict[str, Gate]]("rearm_gates", dict)
LAST_RUNS = AppState[dict[str, LastRunQuery]]("last_runs", dict)


def register_gate(name: str, gate: Gate) -> None:
    """Let `gate` have a say in every advance."""
    ADVANCE_GATES.get()[name] = gate


def register_rearm_gate(name: str, gate: Gate) -> None:
    """Let `gate` have a say in re-arming, and in whatever else lets users in after a rollback."""
    REARM_GATES.get()[name] = gate


def register_last_run(name: str, query: LastRunQuery) -> None:
    """Let plans ask that `name` passed lately; call it inside an application context."""
    LAST_RUNS.get()[name] = query


def plan_gates(session: Session, rollout: Rollout, now: datetime, asker: str = "") -> list[GateResult]:
    """Evaluate every gate that the plan asks for in the present phase."""
    return [result for kind in GATE_KINDS for result in kind(session, rollout, now, asker)]


def rearm_gates(session: Session, rollout: Rollout, now: datetime) -> list[GateResult]:
    """Evaluate every gate of re-arming: the calendar of the lowest step, where users come in, and those registered."""
    calendar = rollout.plan.phases[LOWEST.phase].gates.calendar
    first = [calendar_gate(calendar, now)] if calendar else []
    return [*first, *(gate(session, rollout, now) for gate in REARM_GATES.get().values())]


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
        yield http_check_gate(check, store.http_check_result(session, check), now)


GATE_KINDS: tuple[GateKind, ...] = (_calendar, _approvals, _recency, _http_checks)
