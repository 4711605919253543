"""All SQL of approvals."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, inspect, or_, select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.phases import Rollout
from control_plane.platform.db.database import dialect_insert
from control_plane.rollouts.models import AnyApprovalRow, ApprovalRow, PlanApprovalRow

ROWS: dict[ApprovalSubject, type[AnyApprovalRow]] = {
    ApprovalSubject.STEP: ApprovalRow,
    ApprovalSubject.PLAN: PlanApprovalRow,
}


def load(session: Session, rollout: Rollout, subject: ApprovalSubject) -> Sequence[AnyApprovalRow]:
    """Return the approvals of the rollout as it stands, the earliest first."""
    row_type = ROWS[subject]
    return session.scalars(select(row_type).where(*_holding(rollout, row_type)).order_by(row_type.at)).all()


def add(session: Session, rollout: Rollout, change: ChangeContext, role: str, subject: ApprovalSubject) -> bool:
    """Store an approval; False where the same one holds already."""
    row_type = ROWS[subject]
    row = {
        "flag": rollout.flag,
        "plan_version": rollout.plan_version,
        "entered_at": rollout.entered_at,
        "actor": change.actor,
        "role": role,
        "reason": change.reason,
        "at": change.now,
    }
    insert = dialect_insert(session, row_type).values(row)
    renewed = {name: insert.excluded[name] for name in ("role", "reason", "at")}
    # Whoever has another role by now, or approved before a rollback, approves anew; nobody does twice.
    is_void = or_(row_type.role != insert.excluded.role, row_type.at < rollout.state_changed_at)
    key = [column.name for column in inspect(row_type).primary_key]
    statement = insert.on_conflict_do_update(index_elements=key, set_=renewed, where=is_void)
    return session.scalar(statement.returning(row_type.actor)) is not None


def remove(session: Session, rollout: Rollout, subject: ApprovalSubject, actor: str) -> bool:
    """Remove what `actor` approves of the rollout as it stands; False where that is nothing."""
    row_type = ROWS[subject]
    own = (*_holding(rollout, row_type), row_type.actor == actor)
    return bool(session.scalars(delete(row_type).where(*own).returning(row_type.actor)).all())


def end_plan_approvals(session: Session, flag: str) -> None:
    """Let no approval of a change of the plan of `flag` count any more."""
    session.execute(delete(PlanApprovalRow).where(PlanApprovalRow.flag == flag))


def _holding(rollout: Rollout, row_type: type[AnyApprovalRow]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of an approval that holds for the rollout as it stands.

    What was approved before a rollback, or before a restore, was approved of something else.
    """
    return (
        row_type.flag == rollout.flag,
        row_type.plan_version == rollout.plan_version,
        row_type.entered_at == rollout.entered_at,
        *([row_type.at >= rollout.state_changed_at] if rollout.latched else []),
    )
