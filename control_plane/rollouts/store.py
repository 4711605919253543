"""All SQL of the rollout and its plans."""

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Table, Text, bindparam, cast, func, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.gates import HttpCheckResult
from control_plane.core.phase_gates import HttpCheck
from control_plane.core.phases import Plan, Position, Rollout, RolloutState, position_after
from control_plane.platform.db.database import dialect_insert, execute_core, rowcount_of
from control_plane.rollout_names import SEPARATOR, flag_of, rollout_name
from control_plane.rollouts.models import ApprovalRow, HttpCheckRow, PlanApprovalRow, PlanVersionRow, RolloutRow


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A plan as it was from one change to the next."""

    number: int
    at: datetime
    actor: str
    reason: str
    plan: Plan


PLAN = TypeAdapter(Plan)
TABLE = typing.cast(Table, RolloutRow.__table__)
# A plan is read as text: one that was validated before is known by it, and is not even decoded.
COLUMNS = [column if column.name != "plan" else cast(column, Text).label("plan") for column in TABLE.columns]
ALL = select(*COLUMNS).order_by(TABLE.c.flag)
NAMES = select(TABLE.c.flag).order_by(TABLE.c.flag)
BY_FLAG = select(*COLUMNS).where(TABLE.c.flag == bindparam("of_flag"))


def load(session: Session, flag: str) -> Rollout | None:
    """Return the rollout of `flag` as the database has it now."""
    row = execute_core(session, BY_FLAG, {"of_flag": flag}).one_or_none()
    return _rollout(row) if row else None


def load_all(session: Session) -> list[Rollout]:
    """Return every rollout, by flag."""
    return [_rollout(row) for row in execute_core(session, ALL)]


def names(session: Session) -> Sequence[str]:
    """Return the name of every rollout, in their order."""
    return execute_core(session, NAMES).scalars().all()


def of_flag(session: Session, flag: str) -> list[Rollout]:
    """Return every rollout of `flag`, its own and those of single environments, by name."""
    names = (TABLE.c.flag == flag) | TABLE.c.flag.startswith(f"{flag}{SEPARATOR}", autoescape=True)
    found = [_rollout(row) for row in execute_core(session, ALL.where(names))]
    # SQLite's LIKE tells no capitals from small letters.
    return [each for each in found if flag_of(each.flag) == flag]


def of_single_environments(session: Session, flag: str) -> list[Rollout]:
    """Return the rollouts that `flag` has in single environments, by environment."""
    return [each for each in of_flag(session, flag) if each.flag != flag]


def deciding(session: Session, flag: str, environment: str) -> Rollout | None:
    """Return the rollout that decides about `flag` there: the environment's own, else the flag's."""
    return load(session, rollout_name(flag, environment)) or load(session, flag)


def add(session: Session, rollout: Rollout) -> None:
    """Store a rollout that is not there yet."""
    session.add(RolloutRow(flag=rollout.flag, **_columns(rollout)))
    session.flush()


def lock(session: Session, flag: str) -> int | None:
    """Keep everybody else from changing the rollout until the transaction ends; returns its version."""
    return session.scalar(select(RolloutRow.version).where(RolloutRow.flag == flag).with_for_update())


def compare_and_set(session: Session, after: Rollout, *, expected_version: int) -> bool:
    """Store `after` if nobody changed the rollout since `expected_version`; False when somebody did."""
    statement = (
        update(RolloutRow)
        .where(RolloutRow.flag == after.flag, RolloutRow.version == expected_version)
        .values(**_columns(after))
        .execution_options(synchronize_session=False)
    )
    return rowcount_of(session, statement) == 1


def add_plan_version(session: Session, rollout: Rollout, change: ChangeContext) -> None:
    """Keep the plan that `rollout` has from now on, with who made it and why."""
    row = {"flag": rollout.flag, "number": rollout.plan_version, "plan": plan_to_json(rollout.plan)}
    session.add(PlanVersionRow(**row, at=change.now, actor=change.actor, reason=change.reason))
    session.flush()


def plan_version(session: Session, flag: str, number: int) -> PlanVersion | None:
    """Return one plan that the rollout has had."""
    row = session.get(PlanVersionRow, (flag, number))
    return PlanVersion(row.number, row.at, row.actor, row.reason, plan_from_json(row.plan)) if row else None


def plan_versions(session: Session, flag: str) -> list[PlanVersion]:
    """Return every plan that the rollout has had, the newest first."""
    query = select(PlanVersionRow).where(PlanVersionRow.flag == flag).order_by(PlanVersionRow.number.desc())
    return [
        PlanVersion(row.number, row.at, row.actor, row.reason, plan_from_json(row.plan))
        for row in session.scalars(query)
    ]


def planned_at(session: Session) -> dict[str, datetime]:
    """Return when each flag got its first plan."""
    query = select(PlanVersionRow.flag, func.min(PlanVersionRow.at)).group_by(PlanVersionRow.flag)
    return {flag: at for flag, at in session.execute(query)}  # noqa: C416 - rows are no pairs to the types


def delete(session: Session, flag: str) -> None:
    """Remove a rollout with its plans and approvals."""
    for row in (ApprovalRow, PlanApprovalRow, PlanVersionRow, RolloutRow):
        session.execute(sql_delete(row).where(row.flag == flag))


def http_check_result(session: Session, check: HttpCheck) -> HttpCheckResult | None:
    """Return what the address of a check answered last; None before it was asked."""
    row = session.get(HttpCheckRow, (check.url, check.status), populate_existing=True)
    return HttpCheckResult(row.passed, row.sentence, row.at) if row else None


def put_http_check(session: Session, url: str, status: int, found: HttpCheckResult) -> None:
    """Keep what an address answered, in place of the answer before."""
    row = {"url": url, "status": status, "passed": found.passed, "sentence": found.sentence, "at": found.at}
    statement = dialect_insert(session, HttpCheckRow).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=["url", "status"], set_=row))


def plan_from_json(value: object) -> Plan:
    """Return a plan from its JSON form; pydantic's ValidationError names what is wrong."""
    return PLAN.validate_python(value)


def plan_to_json(plan: Plan) -> dict[str, object]:
    """Return the JSON form of a plan, durations in ISO 8601."""
    encoded: dict[str, Any] = PLAN.dump_python(plan, mode="json")
    # A process of an older release reads the plan as well.
    if not plan.is_of_one_environment:
        del encoded["environment"]
    if not plan.contacts:
        del encoded["contacts"]
    for phase in encoded["phases"]:
        if not phase["segment"]:
            del phase["segment"]
    return encoded


@lru_cache(maxsize=1024)
def _known_plan(text: str) -> Plan:
    """Return a plan once validated, since the guard loads it every second and a plan hardly ever changes."""
    return PLAN.validate_json(text)


def _columns(rollout: Rollout) -> dict[str, object]:
    return {
        "plan": plan_to_json(rollout.plan),
        "version": rollout.version,
        "attempt": rollout.attempt,
        "state": rollout.state.value,
        "phase": rollout.position.phase,
        "step": rollout.position.step,
        "entered_at": rollout.entered_at,
        "state_changed_at": rollout.state_changed_at,
        "state_reason": rollout.state_reason,
        "held_by_guard": rollout.held_by_guard,
        "plan_version": rollout.plan_version,
        "archived_at": rollout.archived_at,
        "stepped_back_at": rollout.stepped_back_at,
        "latches_all": rollout.latches_all,
        "completed_at": rollout.completed_at,
    }


def _rollout(row: Any) -> Rollout:
    plan, state, position = _known_plan(row.plan), RolloutState(row.state), Position(row.phase, row.step)
    return Rollout(
        flag=row.flag,
        plan=plan,
        version=row.version,
        attempt=row.attempt,
        state=state,
        position=position,
        entered_at=row.entered_at,
        state_changed_at=row.state_changed_at,
        state_reason=row.state_reason,
        held_by_guard=row.held_by_guard,
        plan_version=row.plan_version,
        archived_at=row.archived_at,
        stepped_back_at=row.stepped_back_at,
        latches_all=row.latches_all,
        completed_at=_completed_at(row, plan, state, position),
    )


def _completed_at(row: Any, plan: Plan, state: RolloutState, position: Position) -> datetime | None:
    """Return since when the rollout is complete, as far as its other columns bear it out.

    During an upgrade a process of the release before completes rollouts and reopens them, and leaves the column alone.
    """
    completed_at: datetime | None = row.completed_at
    if completed_at and completed_at < row.entered_at:
        completed_at = None  # it stepped back since, and came up again
    if state is RolloutState.COMPLETE:
        return completed_at or row.state_changed_at
    return completed_at if state is RolloutState.HELD and position_after(plan, position) is None else None
