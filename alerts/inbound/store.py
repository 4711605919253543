"""All SQL of what others tell the guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Executable, Table, delete, func, select, update
from sqlalchemy.orm import Session

from alerts.inbound.decision import ACTING, Reply, Response
from alerts.inbound.payload import Alert
from alerts.models import ReceivedAlert, SignalBatch
from control_plane.platform.db.database import DialectInsert, dialect_insert, execute_core, per_dialect
from control_plane.platform.models import AuditEntryRow

RECEIVED = cast(Table, ReceivedAlert.__table__)
BEGINNINGS = ("rollout.plan", "rollout.rearm")


@dataclass(frozen=True, slots=True)
class Known:
    """The stored state of a firing after this delivery."""

    response: Response
    attempt: int | None
    deliveries: int

    def acted_upon_in(self, attempt: int) -> bool:
        """Return whether it had an effect in `attempt`."""
        return self.response in ACTING and self.attempt == attempt


def _upsert(insert: DialectInsert) -> Executable:
    statement = insert(RECEIVED)
    repeated = {
        "deliveries": RECEIVED.c.deliveries + 1,
        "status": statement.excluded.status,
        "last_seen_at": statement.excluded.last_seen_at,
    }
    # The row is locked from here to the commit: of identical posts at once, the second sees what the first one did.
    return statement.on_conflict_do_update(index_elements=list(RECEIVED.primary_key), set_=repeated).returning(
        RECEIVED.c.action, RECEIVED.c.attempt, RECEIVED.c.deliveries
    )


RECEIVE = per_dialect(_upsert)


def receive(session: Session, alert: Alert, *, now: datetime) -> Known:
    """Store a delivery; what is stored of the same firing stays, but for its status."""
    fingerprint, starts_at = alert.key
    row = {
        "fingerprint": fingerprint,
        "starts_at": starts_at,
        "alert": alert.name,
        "flag": alert.flag,
        "severity": alert.severity,
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "action": Response.UNKNOWN.value,
        "reason": "",
        "attempt": None,
        "deliveries": 1,
        "first_seen_at": now,
        "last_seen_at": now,
    }
    found = execute_core(session, RECEIVE, row).one()
    return Known(Response(found.action), found.attempt, found.deliveries)


def set_response(session: Session, alert: Alert, reply: Reply, *, attempt: int | None) -> None:
    """Store what a firing led to."""
    fingerprint, starts_at = alert.key
    session.execute(
        update(ReceivedAlert)
        .where(ReceivedAlert.fingerprint == fingerprint, ReceivedAlert.starts_at == starts_at)
        .values(action=reply.response.value, reason=reply.reason, attempt=attempt)
        .execution_options(synchronize_session=False)
    )


def attempt_started_at(session: Session, flag: str) -> datetime | None:
    """Return when the present attempt of `flag` began, by the audit trail."""
    return session.scalar(
        select(func.max(AuditEntryRow.at)).where(
            AuditEntryRow.subject == f"rollout:{flag}", AuditEntryRow.action.in_(BEGINNINGS)
        )
    )


def firing(session: Session, flag: str, *, now: datetime, believed: timedelta) -> Sequence[ReceivedAlert]:
    """Return the alerts that fire against `flag` by a delivery no older than `believed`."""
    query = (
        select(ReceivedAlert)
        .where(
            ReceivedAlert.flag == flag,
            ReceivedAlert.status == "firing",
            ReceivedAlert.action != Response.UNKNOWN.value,
            ReceivedAlert.last_seen_at > now - believed,
        )
        .order_by(ReceivedAlert.starts_at, ReceivedAlert.alert)
    )
    return session.scalars(query).all()


def latest(session: Session, *, limit: int = 100) -> Sequence[ReceivedAlert]:
    """Return the alerts received last, the newest first."""
    return session.scalars(select(ReceivedAlert).order_by(ReceivedAlert.last_seen_at.desc()).limit(limit)).all()


def remember_batch(session: Session, sender: str, batch_id: str, *, now: datetime) -> bool:
    """Store the id of a batch; return False if it was there already."""
    fresh = dialect_insert(session, SignalBatch).values(sender=sender, id=batch_id, received_at=now)
    return session.scalar(fresh.on_conflict_do_nothing().returning(SignalBatch.id)) is not None


def forget_batches(session: Session, *, before: datetime) -> None:
    """Forget batches received before `before`, which nobody sends again."""
    session.execute(delete(SignalBatch).where(SignalBatch.received_at < before))
