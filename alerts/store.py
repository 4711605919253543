"""All SQL of the alerts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.orm import Session

from alerts import cohort_store
from alerts.analysis import evidence as evidences
from alerts.analysis import no_data, verdicts
from alerts.analysis.attribution import Attribution
from alerts.analysis.bursts import Bursts, bursts_from_json, bursts_to_json
from alerts.analysis.cohorts import CohortMemory
from alerts.analysis.evidence import Evidence
from alerts.analysis.no_data import DataGap
from alerts.analysis.rules import Rule
from alerts.analysis.verdicts import GRAVITY, Status, Verdict
from alerts.models import AlertState
from control_plane.cohort_names import Cohort
from control_plane.core.phases import RolloutState
from control_plane.platform.db.database import execute_core
from control_plane.platform.db.upserts import upsert
from control_plane.platform.models import AuditEntryRow, SignalMinute
from control_plane.signal_counts import Counts

ROLLBACKS_READ = 10
TABLE = cast(Table, AlertState.__table__)

REMEMBER = upsert(TABLE)
OF_ATTEMPT = select(TABLE).where(TABLE.c.flag == bindparam("of_flag"), TABLE.c.attempt == bindparam("of_attempt"))


class StepStart(NamedTuple):
    """When a step of the rollout began, and what the attempt had counted by then."""

    entered_at: datetime
    before: Counts


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """The stored state of one alert and flag. `seen` are the totals already turned into evidence."""

    seen: Counts
    evidence: Evidence
    seen_pairs: Counts
    pairs: Evidence
    verdict: Verdict | None
    data_gap: DataGap
    seen_operations: Counts = field(default_factory=Counts)
    """The same in operations, which tell a gap and bursts whatever the alert's unit is."""
    seen_control: Counts = field(default_factory=Counts)
    seen_served: Counts = field(default_factory=Counts)
    served: Evidence = field(default_factory=Evidence)
    """Of an alert about the whole service: the evidence in what the candidate served."""
    bursts: Bursts = field(default_factory=Bursts)
    excess: int = 0
    """Failures of single accounts since the attempt began that are no evidence against the release, nor for it."""
    excess_before: int = 0
    good_in_a_row: int = 0
    """Good outcomes since the last look that found a bad one."""
    cohorts: Mapping[Cohort, CohortMemory] = field(default_factory=dict)
    step: StepStart | None = None
    """When the step in which the rollout is began, and what was counted in the attempt before it."""

    def all_counts(self, rule: Rule, still_good: int = 0) -> Counts:
        """Return the outcomes since the attempt began, each failure among them, whoever's it was.

        Of a rule per account, without the accounts of the running hour that are `still_good` and may turn bad.
        """
        counts = self.evidence.counts
        if not rule.by_account:
            return counts + Counts(self.excess, self.excess)
        bad = min(counts.total, counts.bad + self.excess)
        return Counts(bad, max(bad, counts.total - still_good))


@dataclass(frozen=True, slots=True)
class AlertStateUpdate:
    """A memory after a tick, to be stored."""

    rule: Rule
    attempt: int
    memory: AlertMemory


def memories(session: Session, flag: str, *, attempt: int) -> dict[tuple[str, str], AlertMemory]:
    """Return the state of this attempt by alert and fingerprint; a changed threshold finds nothing."""
    rows = execute_core(session, OF_ATTEMPT, {"of_flag": flag, "of_attempt": attempt})
    cohorts = cohort_store.memories(session, flag, attempt=attempt)
    return {
        (row.alert, row.fingerprint): replace(_memory(row), cohorts=cohorts.get((row.alert, row.fingerprint), {}))
        for row in rows
        if row.verdict
    }


def withdraw_verdicts(session: Session, flag: str, alerts: Iterable[str]) -> None:
    """Let these alerts say nothing any more, since they are none now; what they have shown of bursts stays."""
    ours = TABLE.c.flag == flag, TABLE.c.alert.in_(alerts)
    execute_core(session, TABLE.update().where(*ours).values(verdict=None))


def earlier_bursts(session: Session, flag: str) -> dict[str, Bursts]:
    """Return what earlier attempts, or an earlier threshold, have shown of bursts, by alert."""
    rows = execute_core(session, select(TABLE.c.alert, TABLE.c.seen).where(TABLE.c.flag == flag))
    return {alert: _bursts(stored) for alert, stored in rows}


def remember(session: Session, flag: str, updates: Iterable[AlertStateUpdate], *, now: datetime) -> None:
    """Store what was judged."""
    REMEMBER.execute_many(session, [_row(flag, each, now) for each in updates])


def latest_verdicts(session: Session, flag: str, *, attempt: int) -> list[Verdict]:
    """Return the last verdict on each alert of this attempt, by name."""
    rows = session.scalars(
        select(AlertState.verdict)
        .where(AlertState.flag == flag, AlertState.attempt == attempt)
        .order_by(AlertState.alert)
    )
    return [verdicts.from_json(row) for row in rows if row]


def alarms(session: Session) -> dict[tuple[str, int], tuple[str, Status]]:
    """Return the gravest alarm of each flag and attempt, in one query; nothing where all is quiet."""
    status = AlertState.verdict["status"].as_string()
    graver = [each.value for each in Status if each not in (Status.OK, Status.INSUFFICIENT)]
    query = select(AlertState.flag, AlertState.attempt, AlertState.alert, status).where(status.in_(graver))
    found: dict[tuple[str, int], tuple[str, Status]] = {}
    for flag, attempt, alert, word in session.execute(query):
        known = found.get((flag, attempt))
        if known is None or GRAVITY[Status(word)] > GRAVITY[known[1]]:
            found[flag, attempt] = alert, Status(word)
    return found


def rollback_causes(session: Session, flag: str) -> list[tuple[str, str]]:
    """Return the cause of each rollback of `flag` as (alert, attribution); `person` for a person."""
    ours = (AuditEntryRow.subject == f"rollout:{flag}") & (AuditEntryRow.action == "rollout.roll_back")
    rows = session.execute(select(AuditEntryRow.before, AuditEntryRow.after).where(ours).order_by(AuditEntryRow.id))
    # An entry whose rollout was rolled back before adds a cause and is no rollback.
    return [_cause(after["evidence"]) for before, after in rows if before["state"] != RolloutState.ROLLED_BACK]


def rollback_verdicts(session: Session, flag: str, *, attempt: int) -> list[Verdict]:
    """Return the verdicts that ended this attempt of `flag`, the first to do so first; empty where a person did."""
    ours = (AuditEntryRow.subject == f"rollout:{flag}") & (AuditEntryRow.action == "rollout.roll_back")
    newest = select(AuditEntryRow.after).where(ours).order_by(AuditEntryRow.id.desc()).limit(ROLLBACKS_READ)
    # A second alert that fired a moment later stands in an entry of its own.
    entries = [after for after in session.scalars(newest) if after and after["attempt"] == attempt]
    found = [each for after in reversed(entries) for each in after["evidence"].get("verdicts", [])]
    return [verdicts.from_json(each) for each in found]


def first_minute(session: Session, signal: str) -> datetime | None:
    """Return the minute in which `signal` was counted first; None where it never was."""
    minute = session.scalar(select(func.min(SignalMinute.minute)).where(SignalMinute.signal == signal))
    return None if minute is None else datetime.fromtimestamp(60 * minute, UTC)


def was_held_for(session: Session, flag: str, source: str, *, since: datetime) -> bool:
    """Return whether `flag` was held for `source` since `since`."""
    ours = (AuditEntryRow.subject == f"rollout:{flag}") & (AuditEntryRow.action == "rollout.hold")
    held = session.scalars(select(AuditEntryRow.after).where(ours, AuditEntryRow.at >= since))
    return any(after["evidence"].get("source") == source for after in held if after)


def _cause(evidence: Mapping[str, Any]) -> tuple[str, str]:
    cause = next(iter(evidence.get("verdicts", [])), evidence)
    return cause.get("alert", "person"), cause.get("attribution", Attribution.UNKNOWN.value)


def _memory(row: Any) -> AlertMemory:
    return AlertMemory(
        seen=Counts(row.seen["bad"], row.seen["total"]),
        evidence=evidences.from_json(row.evidence),
        seen_pairs=Counts(row.seen["pairs_bad"], row.seen["pairs_total"]),
        pairs=evidences.from_json(row.pairs) if row.pairs else Evidence(),
        verdict=verdicts.from_json(row.verdict) if row.verdict else None,
        data_gap=no_data.from_json(row.seen["silence"]) if "silence" in row.seen else DataGap(),
        seen_operations=Counts(*row.seen.get("operations", (row.seen["bad"], row.seen["total"]))),
        seen_control=Counts(*row.seen.get("control", (0, 0))),
        seen_served=Counts(*row.seen.get("served", (0, 0))),
        served=evidences.from_json(row.seen["served_evidence"]) if "served_evidence" in row.seen else Evidence(),
        bursts=_bursts(row.seen),
        excess=row.seen.get("excess", 0),
        excess_before=row.seen.get("excess_before", 0),
        good_in_a_row=row.seen.get("good_in_a_row", 0),
        step=_step_start(row.seen.get("step")),
    )


def _bursts(stored: Mapping[str, Any]) -> Bursts:
    return bursts_from_json(stored["bursts"]) if "bursts" in stored else Bursts()


def _step_start(stored: list[Any] | None) -> StepStart | None:
    return StepStart(datetime.fromisoformat(stored[0]), Counts(*stored[1:])) if stored else None


def _operations(rule: Rule, memory: AlertMemory) -> dict[str, list[int]]:
    """Return what was seen in operations where that is something else than what was seen."""
    return {"operations": _pair(memory.seen_operations)} if rule.by_account else {}


def _pair(counts: Counts) -> list[int]:
    return [counts.bad, counts.total]


def _row(flag: str, changed: AlertStateUpdate, now: datetime) -> dict[str, object]:
    memory = changed.memory
    return {
        "flag": flag,
        "alert": changed.rule.name,
        "attempt": changed.attempt,
        "fingerprint": changed.rule.fingerprint,
        "seen": {
            "bad": memory.seen.bad,
            "total": memory.seen.total,
            "pairs_bad": memory.seen_pairs.bad,
            "pairs_total": memory.seen_pairs.total,
            "silence": no_data.to_json(memory.data_gap),
            **_operations(changed.rule, memory),
            "control": _pair(memory.seen_control),
            "served": _pair(memory.seen_served),
            "served_evidence": evidences.to_json(memory.served),
            "bursts": bursts_to_json(memory.bursts),
            "excess": memory.excess,
            "excess_before": memory.excess_before,
            "good_in_a_row": memory.good_in_a_row,
            "step": memory.step and [memory.step.entered_at.isoformat(), *_pair(memory.step.before)],
        },
        "evidence": evidences.to_json(memory.evidence),
        "pairs": evidences.to_json(memory.pairs) if changed.rule.attributable else None,
        "verdict": verdicts.to_json(memory.verdict) if memory.verdict else None,
        "changed_at": now,
    }
