"""All SQL of overrides."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from alerts.models import AlertOverride
from control_plane.platform.db.database import execute_core, rowcount_of
from control_plane.platform.models import AuditEntryRow

ASKED, GRANTED = "alert.override_ask", "alert.override"

TABLE = cast(Table, AlertOverride.__table__)
UNEXPIRED = select(TABLE).where(TABLE.c.ended_at.is_(None), TABLE.c.expires_at > bindparam("at"))
ACTIVE = UNEXPIRED.where(TABLE.c.flag == bindparam("of_flag"), TABLE.c.attempt == bindparam("of_attempt"))


@dataclass(frozen=True, slots=True)
class Override:
    """An alert that may notify only, until when, who decided so and why."""

    flag: str
    alert: str
    attempt: int
    actor: str
    reason: str
    made_at: datetime
    expires_at: datetime


def active(session: Session, flag: str, *, attempt: int, now: datetime) -> dict[str, Override]:
    """Return the overrides in force in this attempt, by alert."""
    rows = execute_core(session, ACTIVE, {"of_flag": flag, "of_attempt": attempt, "at": now})
    return {row.alert: _override(row) for row in rows}


@dataclass(frozen=True, slots=True)
class PendingOverride:
    """An override that one owner asked for and a second one has to approve by `until`."""

    flag: str
    alert: str
    actor: str
    reason: str
    until: datetime


def pending(session: Session, flag: str, alert: str, *, attempt: int, since: datetime) -> PendingOverride | None:
    """Return the last request since `since` that is not approved; the audit trail stores requests."""
    query = (
        select(AuditEntryRow)
        .where(
            AuditEntryRow.subject == f"rollout:{flag}",
            AuditEntryRow.action.in_((ASKED, GRANTED)),
            AuditEntryRow.at > since,
        )
        .order_by(AuditEntryRow.id.desc())
    )
    entries = [entry for entry in session.scalars(query) if entry.after and entry.after["alert"] == alert]
    if not entries or entries[0].action == GRANTED or not entries[0].after or entries[0].after["attempt"] != attempt:
        return None
    last = entries[0]
    return PendingOverride(flag, alert, last.actor, last.reason, datetime.fromisoformat(entries[0].after["until"]))


def unexpired(session: Session, *, now: datetime) -> list[Override]:
    """Return the overrides in force at `now`, of every flag and attempt."""
    return [_override(row) for row in execute_core(session, UNEXPIRED, {"at": now})]


def add(session: Session, override: Override) -> None:
    """Store a new override."""
    session.add(
        AlertOverride(
            flag=override.flag,
            alert=override.alert,
            attempt=override.attempt,
            actor=override.actor,
            reason=override.reason,
            made_at=override.made_at,
            expires_at=override.expires_at,
        )
    )
    session.flush()


def end(session: Session, flag: str, alert: str, *, now: datetime, actor: str) -> bool:
    """End what stands; False when nothing does."""
    statement = (
        update(AlertOverride)
        .where(
            AlertOverride.flag == flag,
            AlertOverride.alert == alert,
            AlertOverride.ended_at.is_(None),
            AlertOverride.expires_at > now,
        )
        .values(ended_at=now, ended_by=actor)
        .execution_options(synchronize_session=False)
    )
    return rowcount_of(session, statement) > 0


def _override(row: Any) -> Override:
    return Override(row.flag, row.alert, row.attempt, row.actor, row.reason, row.made_at, row.expires_at)
