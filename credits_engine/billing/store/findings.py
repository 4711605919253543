"""Findings of comparisons with Stripe, and the state of the comparison itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import DialectInsert, execute_core, per_dialect
from credits_engine.billing.models import CHECKS, EVENTS, FINDINGS
from credits_engine.store.tables import ResultRow, insert_if_absent, inserted

NAME = "stripe"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: its kind, Stripe's object, whom it is about, and a sentence."""

    kind: str
    object_id: str
    user_id: str | None
    sentence: str


def _upsert(insert_into: DialectInsert) -> Executable:
    statement = insert_into(FINDINGS)
    again = {
        "sentence": statement.excluded.sentence,
        "user_id": statement.excluded.user_id,
        "seen_at": statement.excluded.seen_at,
        "closed_at": None,
        "closed_by": None,
    }
    return statement.on_conflict_do_update(index_elements=["kind", "object_id"], set_=again)


PUT = per_dialect(_upsert)
ADD_CHECK = insert_if_absent(CHECKS)


def add(session: Session, found: Sequence[Finding], *, now: datetime) -> None:
    """Open each finding, or say that it is still there; one that was closed is open again."""
    rows = [
        {
            "kind": each.kind,
            "object_id": each.object_id,
            "user_id": each.user_id,
            "sentence": each.sentence,
            "found_at": now,
            "seen_at": now,
        }
        for each in {(one.kind, one.object_id): one for one in found}.values()
    ]
    if rows:
        execute_core(session, PUT, rows)


def close_unseen(session: Session, *, now: datetime, by: str, but: str) -> None:
    """Close what the comparison at `now` did not find again, but those of one kind, which it can't find again."""
    is_gone = (FINDINGS.c.closed_at.is_(None), FINDINGS.c.seen_at < now, FINDINGS.c.kind != but)
    execute_core(session, update(FINDINGS).where(*is_gone).values(closed_at=now, closed_by=by))


def has_open(session: Session, kinds: Sequence[str]) -> bool:
    """Return whether a finding of one of these kinds is open."""
    query = select(FINDINGS.c.id).where(FINDINGS.c.closed_at.is_(None), FINDINGS.c.kind.in_(kinds)).limit(1)
    return session.scalar(query) is not None


def close(session: Session, finding_id: int, *, now: datetime, by: str) -> None:
    """Close one finding."""
    execute_core(session, update(FINDINGS).where(FINDINGS.c.id == finding_id).values(closed_at=now, closed_by=by))


def listed(session: Session, *, limit: int) -> list[ResultRow]:
    """Open findings, the newest first."""
    query = select(FINDINGS).where(FINDINGS.c.closed_at.is_(None)).order_by(FINDINGS.c.id.desc()).limit(limit)
    return list(session.execute(query))


def lock(session: Session, finding_id: int) -> ResultRow | None:
    """Return one finding, locked, so that two people don't correct it at once."""
    return session.execute(select(FINDINGS).where(FINDINGS.c.id == finding_id).with_for_update()).one_or_none()


def unknown_events(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Return those of these events that the inbox has never had."""
    found = session.scalars(select(EVENTS.c.event_id).where(EVENTS.c.event_id.in_(event_ids)))
    return set(event_ids) - set(found)


def check(session: Session) -> ResultRow | None:
    """Return the state of the comparison; None before its first look."""
    return session.execute(select(CHECKS).where(CHECKS.c.name == NAME)).one_or_none()


def update_check(session: Session, *, now: datetime, **columns: Any) -> None:
    """Write that the job looked, and what came of it."""
    inserted(session, ADD_CHECK, {"name": NAME, "seen_at": now, "compared": 0})
    execute_core(session, update(CHECKS).where(CHECKS.c.name == NAME).values(seen_at=now, **columns))
