"""Erase a person on request, once and after each restore."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, audit_redaction, erasures
from control_plane.platform.db.database import after_commit, read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from control_plane.platform.redaction import Redaction, redaction
from control_plane.platform.runtime import change_feed
from credits_engine.billing.store import accounts
from credits_engine.erasure import person_data
from credits_engine.erasure.person_data import Hindrance
from credits_engine.migration import erasure_manifest
from credits_engine.migration.erasure_manifest import Noted
from flags import store as flags

NAME_LENGTH = 3
ATTEMPTS_MAX = 3
OUTSIDE = (
    "What Stripe holds: delete the customer there.",
    "Exports and archives that were taken out, and logs: they are yours to remove.",
    "Backups that exist: the manifest beside them erases the person again after a restore.",
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did: the pseudonym, the rows by table, and where the person is still named."""

    pseudonym: str
    rows: dict[str, int] = field(default_factory=dict)
    still_named: list[str] = field(default_factory=list)


def check(session: Session, user_id: str, now: datetime) -> list[Hindrance]:
    """Return what stands in the way of erasing a user at this moment; nothing is changed.

    Raises Problem: 404 for somebody unknown, 409 for a pseudonym.
    """
    _refuse_pseudonym(user_id)
    if not person_data.is_known(session, user_id):
        raise _unknown(user_id)
    return list(person_data.hindrances(session, user_id, accounts.customers_of(session, user_id), [user_id], now))


def erase(user_id: str, change: ChangeContext, *, also: Sequence[str] = ()) -> Erased:
    """Make everything of a user that of a pseudonym; `also` are further names of theirs, such as an address.

    Raises Problem: 404 for somebody unknown, 409 while anything of theirs goes on, 422 for words that can't be used.
    """
    _check_request(user_id, change.reason, also)
    with transaction() as session:
        done = _erase(session, user_id, change, also)
    # An operation that had begun before can have written a row since; it is somebody else's pseudonym then.
    for _ in range(ATTEMPTS_MAX):
        with read_only() as session:
            if not person_data.is_known(session, user_id):
                break
        with transaction() as session:
            _erase(session, user_id, change, also)
    erasure_manifest.save_all()
    return done


def erase_again(session: Session, noted: Sequence[Noted], change: ChangeContext) -> int:
    """Erase in a restored database whoever was erased since its backup; returns how many of them it held."""
    known = {each.pseudonym for each in erasures.every(session)}
    missing = [each for each in noted if each.pseudonym not in known]
    if not missing:
        return 0
    by_digest = {each.digest: each for each in missing}
    found = 0
    for each in missing:
        made = ChangeContext(each.erased_at, each.actor, each.reason)
        erasures.put_back(session, each.digest, each.pseudonym, made)
    for user_id in person_data.every_user(session):
        match = next((by_digest[name] for name in erasures.digests(user_id) if name in by_digest), None)
        if match:
            _rename(session, user_id, redaction([user_id], match.pseudonym), change)
            found += 1
    return found


def _erase(session: Session, user_id: str, change: ChangeContext, also: Sequence[str]) -> Erased:
    customers = person_data.lock(session, user_id)
    if not person_data.is_known(session, user_id):
        raise _unknown(user_id)
    if found := next(person_data.hindrances(session, user_id, customers, [user_id, *also], change.now), None):
        raise Problem(409, found.code, found.sentence)
    pseudonym = erasures.add(session, user_id, change)
    return _rename(session, user_id, redaction([user_id, *also], pseudonym), change, customers)


def _rename(
    session: Session, user_id: str, redaction: Redaction, change: ChangeContext, customers: Sequence[str] | None = None
) -> Erased:
    own = person_data.lock(session, user_id) if customers is None else customers
    rows = person_data.rename(session, user_id, redaction, own)
    for topic in (flags.OVERRIDE, flags.DIRECTORY, flags.ERASURE):
        change_feed.publish(session, topic, "*", now=change.now)
    # `publish` has taken the lock on the order of commits: no entry is written between these two steps.
    redacted = audit_redaction.redact(session, redaction)
    still_named = person_data.still_named(session, redaction)
    audit.record(
        session,
        change,
        action=audit_redaction.ACTION,
        subject=f"user:{redaction.pseudonym}",
        after={"rows": rows, "still_named": len(still_named), audit_redaction.REDACTED: redacted},
    )
    after_commit(session, lambda: log.info("user.erased", pseudonym=redaction.pseudonym, rows=sum(rows.values())))
    return Erased(redaction.pseudonym, rows, still_named)


def _check_request(user_id: str, reason: str, also: Sequence[str]) -> None:
    require_reason(reason)
    if redaction([user_id, *also], "").text(reason) != reason:
        raise Problem(422, "REASON_NAMES_PERSON", "The reason names the person; it is kept, so write it without.")
    if short := next((name for name in also if len(name.strip()) < NAME_LENGTH), None):
        raise Problem(422, "NAME_TOO_SHORT", f"{short!r} is too short to be searched for; write 3 characters or more.")
    _refuse_pseudonym(user_id)


def _refuse_pseudonym(user_id: str) -> None:
    if user_id.startswith(erasures.PREFIX):
        raise Problem(409, "ERASED_ALREADY", "This is the pseudonym of somebody who was erased.")


def _unknown(user_id: str) -> Problem:
    return Problem(404, "USER_NOT_FOUND", f"Nothing here is about user {user_id[:80]!r}.")
