"""All SQL of the checklists."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control_plane.checklists.models import ChecklistResult, ChecklistSignature
from control_plane.core.checklist import CheckResult, Signature, StoredResult


@dataclass(frozen=True, slots=True)
class SignatureKey:
    """What was signed: `attempt` is 0 where it holds for all of them, `phase` empty after the rollout."""

    attempt: int
    phase: str
    checklist: str
    item: str


def signatures(session: Session, flag: str, *, attempt: int | None = None) -> Mapping[SignatureKey, Signature]:
    """Return the signatures that count in this attempt of `flag`, or in any."""
    ours = select(ChecklistSignature).where(ChecklistSignature.flag == flag)
    if attempt is not None:
        ours = ours.where(ChecklistSignature.attempt.in_((0, attempt)))
    return {
        SignatureKey(row.attempt, row.phase, row.checklist, row.item): Signature(row.actor, row.at, row.note, row.link)
        for row in session.scalars(ours)
    }


def add(session: Session, flag: str, key: SignatureKey, signature: Signature) -> None:
    """Store a signature in the place of an earlier one."""
    remove(session, flag, key)
    session.add(
        ChecklistSignature(
            flag=flag,
            attempt=key.attempt,
            phase=key.phase,
            checklist=key.checklist,
            item=key.item,
            actor=signature.actor,
            at=signature.at,
            note=signature.note,
            link=signature.link,
        )
    )
    session.flush()


def remove(session: Session, flag: str, key: SignatureKey) -> None:
    """Remove a signature, if it is there."""
    session.execute(
        delete(ChecklistSignature).where(
            ChecklistSignature.flag == flag,
            ChecklistSignature.attempt == key.attempt,
            ChecklistSignature.phase == key.phase,
            ChecklistSignature.checklist == key.checklist,
            ChecklistSignature.item == key.item,
        )
    )


def remove_all(session: Session, flag: str) -> None:
    """Remove everything that is kept for the checklists of `flag`."""
    for row in (ChecklistSignature, ChecklistResult):
        session.execute(delete(row).where(row.flag == flag))


def results(session: Session, flag: str) -> dict[str, StoredResult]:
    """Return the last answer of each check, by its name."""
    rows = session.scalars(select(ChecklistResult).where(ChecklistResult.flag == flag))
    return {row.check: StoredResult(CheckResult(row.passed, row.sentence), row.at, row.valid_until) for row in rows}


def replace_results(session: Session, flag: str, found: Mapping[str, StoredResult]) -> None:
    """Store the answers of the checks in the place of the last ones."""
    session.execute(delete(ChecklistResult).where(ChecklistResult.flag == flag))
    session.add_all(
        ChecklistResult(
            flag=flag,
            check=name,
            passed=stored.result.passed,
            sentence=stored.result.sentence,
            at=stored.at,
            valid_until=stored.valid_until,
        )
        for name, stored in found.items()
    )
