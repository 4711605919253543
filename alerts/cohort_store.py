"""SQL of what the guard keeps of each alert within each cohort."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from alerts.analysis.cohorts import CohortMemory, cohort_from_json, cohort_to_json
from alerts.analysis.rules import Rule
from alerts.analysis.sequential_test import ATTEMPT_SECONDS
from alerts.models import CohortState
from control_plane.cohort_names import ACCOUNT, Cohort
from control_plane.platform.db.database import execute_core
from control_plane.platform.db.upserts import upsert
from control_plane.platform.observability.cohort_counts import FORGET_SECONDS

TABLE = cast(Table, CohortState.__table__)


@dataclass(frozen=True, slots=True)
class CohortUpdate:
    """What is known of a cohort after a tick, to be stored."""

    rule: Rule
    attempt: int
    cohort: Cohort
    memory: CohortMemory


def memories(session: Session, flag: str, *, attempt: int) -> dict[tuple[str, str], dict[Cohort, CohortMemory]]:
    """Return what is known in this attempt, by alert and fingerprint, the first cohort first."""
    found: dict[tuple[str, str], dict[Cohort, CohortMemory]] = {}
    for row in execute_core(session, OF_ATTEMPT, {"of_flag": flag, "of_attempt": attempt}):
        known = found.setdefault((row.alert, row.fingerprint), {})
        known[Cohort(row.dimension, row.name)] = cohort_from_json(row.counts, row.evidence)
    return {
        key: dict(sorted(known.items(), key=lambda item: item[1].weight, reverse=True)) for key, known in found.items()
    }


def remember(session: Session, flag: str, changed: Iterable[CohortUpdate], *, now: datetime) -> None:
    """Store what changed."""
    REMEMBER.execute_many(session, [_row(flag, each, now) for each in changed])


def forget(session: Session, now: datetime) -> None:
    """Drop what has not changed for as long as an attempt is planned, and accounts that are counted no more."""
    long_ago, a_day_ago = (now - timedelta(seconds=seconds) for seconds in (ATTEMPT_SECONDS, FORGET_SECONDS))
    is_gone = (TABLE.c.dimension == ACCOUNT) & (TABLE.c.changed_at < a_day_ago)
    execute_core(session, TABLE.delete().where(is_gone | (TABLE.c.changed_at < long_ago)))


def _row(flag: str, update: CohortUpdate, now: datetime) -> dict[str, object]:
    counts, evidence = cohort_to_json(update.memory)
    return {
        "flag": flag,
        "alert": update.rule.name,
        "dimension": update.cohort.dimension,
        "name": update.cohort.name,
        "attempt": update.attempt,
        "fingerprint": update.rule.fingerprint,
        "counts": counts,
        "evidence": evidence,
        "changed_at": now,
    }


REMEMBER = upsert(TABLE)
OF_ATTEMPT = select(TABLE).where(TABLE.c.flag == bindparam("of_flag"), TABLE.c.attempt == bindparam("of_attempt"))
