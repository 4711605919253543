"""All SQL of the alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts import evidence as evidences
from alerts import verdicts
from alerts.evidence import Counts, Evidence
from alerts.models import AlertState
from alerts.rules import Rule
from alerts.verdicts import Verdict
from control_plane.platform.database import insert


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guard remembers of one alert and flag. `seen` are the totals already turned into evidence."""

    seen: Counts
    evidence: Evidence
    seen_pairs: Counts
    pairs: Evidence
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A memory after a tick, to be stored."""

    rule: Rule
    attempt: int
    memory: Memory


def memories(session: Session, flag: str, *, attempt: int) -> dict[tuple[str, str], Memory]:
    """What is remembered of this attempt, by alert and fingerprint; a changed threshold finds nothing."""
    rows = session.execute(
        select(AlertState.alert, AlertState.fingerprint, AlertState.seen, AlertState.evidence, AlertState.pairs)
        .add_columns(AlertState.verdict)
        .where(AlertState.flag == flag, AlertState.attempt == attempt)
    )
    return {(row.alert, row.fingerprint): _memory(row) for row in rows}


def remember(session: Session, flag: str, judged: Iterable[Judged], *, now: datetime) -> None:
    """Store what was judged."""
    rows = [_row(flag, each, now) for each in judged]
    if rows:
        statement = insert(session, AlertState.__table__)
        key = ("flag", "alert")
        changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
        session.connection().execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed), rows)


def latest_verdicts(session: Session, flag: str, *, attempt: int) -> list[Verdict]:
    """The last verdict on each alert of this attempt, by name."""
    rows = session.scalars(
        select(AlertState.verdict)
        .where(AlertState.flag == flag, AlertState.attempt == attempt)
        .order_by(AlertState.alert)
    )
    return [verdicts.from_json(row) for row in rows if row]


def _memory(row: Any) -> Memory:
    return Memory(
        seen=Counts(row.seen["bad"], row.seen["total"]),
        evidence=evidences.from_json(row.evidence),
        seen_pairs=Counts(row.seen["pairs_bad"], row.seen["pairs_total"]),
        pairs=evidences.from_json(row.pairs) if row.pairs else Evidence(),
        verdict=verdicts.from_json(row.verdict) if row.verdict else None,
    )


def _row(flag: str, judged: Judged, now: datetime) -> dict[str, Any]:
    memory = judged.memory
    return {
        "flag": flag,
        "alert": judged.rule.name,
        "attempt": judged.attempt,
        "fingerprint": judged.rule.fingerprint,
        "seen": {
            "bad": memory.seen.bad,
            "total": memory.seen.total,
            "pairs_bad": memory.seen_pairs.bad,
            "pairs_total": memory.seen_pairs.total,
        },
        "evidence": evidences.to_json(memory.evidence),
        "pairs": evidences.to_json(memory.pairs) if judged.rule.attributable else None,
        "verdict": verdicts.to_json(memory.verdict) if memory.verdict else None,
        "changed_at": now,
    }
