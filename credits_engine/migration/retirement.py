"""The end of legacy: when it may be retired, and what that means.

Retired, legacy is not asked any more beside v2. Its book goes on with every operation, so a rollback still means what
it always meant: legacy serves, from a book that misses nothing, with v2 as its shadow. The way back is open until the
book is archived; after that the next release may leave legacy out, and only with that release do rollbacks end.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform import private_files, settings
from control_plane.platform.auth import audit
from control_plane.platform.db.database import after_rollback
from control_plane.rollouts import store as rollouts
from credits_engine.engines.amounts import KINDS
from credits_engine.migration import backups
from credits_engine.reconciliation.verification import verify
from credits_engine.store import retirement
from flags.store.overrides import Effect, list_overrides

QUIET = timedelta(days=30)
BACKUP_AGE = timedelta(hours=24)
LATEST_OPERATIONS = 1_000
SUBJECT = "credits:legacy"
REMOVE = (
    "credits_engine/engines/legacy.py and what imports it",
    "the columns legacy_… of credit_journal, by a migration that keeps them in the archive of their months",
    "the table legacy_book, once the archive has been read back",
    "`ENABLE_CREDITS_V2` and the rollout: nothing is left to roll back to",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of retiring legacy, and what was found."""

    name: str
    passed: bool
    detail: str


class RetirementRefused(ValueError):  # noqa: N818 - named after what the caller gets
    """Legacy can't be retired, brought back or archived now; the message says why."""


def checks(session: Session, now: datetime) -> list[Check]:
    """Return everything that must hold before legacy is retired."""
    return [*quick_checks(session, now), _verified(session, now), _backed_up(session, now)]


def quick_checks(session: Session, now: datetime) -> list[Check]:
    """Return those of the checks that read little."""
    return [_complete(session, now), _everybody(session, now), _legacy_idle(session, now)]


def retire(session: Session, *, now: datetime, actor: str, reason: str) -> list[Check]:
    """Stop asking legacy beside v2. Raises RetirementRefused with every check that failed."""
    found = checks(session, now)
    if failed := [check for check in found if not check.passed]:
        raise RetirementRefused(" ".join(check.detail for check in failed))
    if not retirement.retire(session, now=now, actor=actor, reason=reason):
        raise RetirementRefused("Legacy is retired already.")
    evidence = {check.name: check.detail for check in found}
    _record(session, "retire", now=now, actor=actor, reason=reason, after={"retired": True, "checks": evidence})
    return found


def reinstate(session: Session, *, now: datetime, actor: str, reason: str) -> None:
    """Ask legacy again beside v2. Raises RetirementRefused when it is not retired, or archived."""
    if not retirement.reinstate(session):
        known = retirement.find_retirement(session)
        raise RetirementRefused(f"{_archived(known)} A rollback still works." if known else "Legacy is not retired.")
    _record(session, "bring_back", now=now, actor=actor, reason=reason, after={"retired": False})


def archive(session: Session, path: Path, *, now: datetime, actor: str, reason: str) -> int:
    """Write legacy's book to `path` as CSV in gzip and close the way back; returns the number of rows.

    Raises RetirementRefused when legacy is not retired or was archived before, and for a file that exists.
    """
    if path.exists():
        raise RetirementRefused(f"{path} exists; name another file.")
    if not retirement.record_archive(session, path.name, now=now):
        known = retirement.find_retirement(session)
        raise RetirementRefused(_archived(known) if known else "Legacy is not retired; retire it first.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        rows = _write(session, partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        # Renamed when it is whole: a file of that name is never half an archive.
        partial.replace(path)
        # The commit may still fail, and then legacy is not archived.
        after_rollback(session, path.unlink)
    finally:
        partial.unlink(missing_ok=True)
    after = {"archive": path.name, "rows": rows, "sha256": digest}
    _record(session, "archive", now=now, actor=actor, reason=reason, after=after)
    return rows


def _complete(session: Session, now: datetime) -> Check:
    found = rollouts.of_flag(session, FLAG)  # where one environment has its own, that one decides there
    if FLAG not in {each.flag for each in found}:
        return Check("complete", passed=False, detail="The rollout was never planned, not complete.")
    if unfinished := [each for each in found if each.state is not RolloutState.COMPLETE]:
        first = unfinished[0]
        where = f" of {first.plan.environment}" if first.plan.is_of_one_environment else ""
        return Check("complete", passed=False, detail=f"The rollout{where} is {first.state}, not complete.")
    since = max(each.state_changed_at for each in found)
    detail = f"The rollout has been complete without a hold since {since:%Y-%m-%d}; {QUIET.days} days are needed."
    return Check("complete", passed=now - since >= QUIET, detail=detail)


def _everybody(session: Session, now: datetime) -> Check:
    denied = [
        each.user_id
        for each in list_overrides(session, FLAG)
        if each.effect is Effect.DENY and (each.expires_at is None or now < each.expires_at)
    ]
    served = retirement.served_by_legacy(session, most=LATEST_OPERATIONS)
    found = [f"{len(denied)} users are kept on legacy by name."] if denied else []
    found += [f"Legacy served {served} of the last {LATEST_OPERATIONS:,} journal rows."] if served else []
    found += ["ENABLE_CREDITS_V2 is false here."] if settings.current().environment_switch is False else []
    return Check("everybody", passed=not found, detail=" ".join(found) or "v2 serves everybody.")


def _legacy_idle(session: Session, now: datetime) -> Check:
    recent = {each: at for each, at in retirement.newest_open(session).items() if now - at < QUIET}
    sentences = [f"{variance} was last seen at {at:%Y-%m-%d %H:%M} UTC." for variance, at in recent.items()]
    return Check(
        "quiet", passed=not sentences, detail=" ".join(sentences) or f"No variance is open for {QUIET.days} days."
    )


def _verified(session: Session, now: datetime) -> Check:
    found = verify(session, now)
    detail = (
        f"{len(found.without_period):,} users without a period, {len(found.overlapping):,} with overlaps, "
        f"{found.books.found:,} of {found.books.checked:,} rows differ from the journal."
    )
    return Check("verify", passed=found.intact, detail=detail)


def _backed_up(session: Session, now: datetime) -> Check:
    made_at = backups.made_at(session)
    if made_at is None:
        return Check("backup", passed=False, detail="There is no backup; `rollout backup` makes one.")
    detail = f"The last backup is from {made_at:%Y-%m-%d %H:%M} UTC; {BACKUP_AGE} at most are allowed."
    return Check("backup", passed=now - made_at <= BACKUP_AGE, detail=detail)


def _archived(known: retirement.RetirementRecord) -> str:
    return f"Legacy was archived at {known.archived_at:%Y-%m-%d %H:%M} UTC as {known.archive}; that is final."


def _write(session: Session, path: Path) -> int:
    # Without a name and a time in it, the same book makes the same file.
    private_files.make_private(path)
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(("user_id", "month_start", *(f"{kind}_used" for kind in KINDS)))
        count = 0
        for count, row in enumerate(_rows(session), start=1):  # noqa: B007 - the last number is the count
            writer.writerow(row)
        text.flush()
        text.detach()
    return count


def _rows(session: Session) -> Iterator[tuple[object, ...]]:
    for user_id, month_start, used in retirement.legacy_rows(session):
        yield user_id, month_start.isoformat(), *(amount for _, amount in used.items())


def _record(session: Session, action: str, *, now: datetime, actor: str, reason: str, after: dict[str, object]) -> None:
    action = f"credits.{action}"
    audit.record(session, ChangeContext(now, actor, reason), action=action, subject=SUBJECT, before=None, after=after)
