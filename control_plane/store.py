"""All SQL of the rollout."""

import typing
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Table, Text, bindparam, cast, select, update
from sqlalchemy.orm import Session

from control_plane.models import RolloutRow
from control_plane.phases import Plan, Position, Rollout, RolloutState
from control_plane.platform.db.database import execute_core, rowcount_of

PLAN = TypeAdapter(Plan)
TABLE = typing.cast(Table, RolloutRow.__table__)
# A plan is read as text: one that was validated before is known by it, and is not even decoded.
COLUMNS = [column if column.name != "plan" else cast(column, Text).label("plan") for column in TABLE.columns]
ALL = select(*COLUMNS).order_by(TABLE.c.flag)
BY_FLAG = select(*COLUMNS).where(TABLE.c.flag == bindparam("of_flag"))


def load(session: Session, flag: str) -> Rollout | None:
    """The rollout of `flag` as the database has it now."""
    row = execute_core(session, BY_FLAG, {"of_flag": flag}).one_or_none()
    return _rollout(row) if row else None


def load_all(session: Session) -> list[Rollout]:
    """Every rollout, by flag."""
    return [_rollout(row) for row in execute_core(session, ALL)]


def add(session: Session, rollout: Rollout) -> None:
    """Store a rollout that is not there yet."""
    session.add(RolloutRow(flag=rollout.flag, **_columns(rollout)))
    session.flush()


def compare_and_set(session: Session, after: Rollout, *, expected_version: int) -> bool:
    """Store `after` if nobody changed the rollout since `expected_version`; False when somebody did."""
    statement = (
        update(RolloutRow)
        .where(RolloutRow.flag == after.flag, RolloutRow.version == expected_version)
        .values(**_columns(after))
        .execution_options(synchronize_session=False)
    )
    return rowcount_of(session, statement) == 1


def plan_from_json(value: object) -> Plan:
    """A plan from its JSON form; pydantic's ValidationError names what is wrong."""
    return PLAN.validate_python(value)


def plan_to_json(plan: Plan) -> dict[str, object]:
    """The JSON form of a plan, durations in ISO 8601."""
    encoded: dict[str, object] = PLAN.dump_python(plan, mode="json")
    return encoded


@lru_cache(maxsize=64)
def _known_plan(text: str) -> Plan:
    """A plan once validated, since the guard loads it every second and a plan hardly ever changes."""
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
    }


def _rollout(row: Any) -> Rollout:
    return Rollout(
        flag=row.flag,
        plan=_known_plan(row.plan),
        version=row.version,
        attempt=row.attempt,
        state=RolloutState(row.state),
        position=Position(row.phase, row.step),
        entered_at=row.entered_at,
        state_changed_at=row.state_changed_at,
        state_reason=row.state_reason,
        held_by_guard=row.held_by_guard,
    )
