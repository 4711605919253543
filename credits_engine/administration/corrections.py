"""Corrections by an administrator. Each is a journal row of its own with actor and reason, and is audited.

Both books are always corrected together, each in the period that runs now, so that neither engine forgets it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.decisions import Book, EngineName
from credits_engine.engines.receipts import Columns, EntryType
from credits_engine.operations.account_books import Books, load_for_update
from credits_engine.operations.consumption import Evaluate, KeyConflictError, UnknownUserError
from credits_engine.store import accounts, books, journal
from credits_engine.store.accounts import EVERYBODY, Account, KnownKey


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction as it was journalled: what each book was moved by. Negative amounts gave credits back."""

    journal_id: int
    user_id: str
    type: EntryType
    posted: Mapping[EngineName, Amounts]
    reason: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Credits to give back (positive) or take away (negative), once under `key`.

    With `beyond_limit` more may be taken than is left.
    """

    user_id: str
    given: Amounts
    key: str | None = None
    beyond_limit: bool = False

    @property
    def fingerprint(self) -> str:
        """Equal for two adjustments exactly when they move the same amounts."""
        return f"{EntryType.ADJUST} {self.given.fingerprint}"


class CorrectionRefused(ValueError):  # noqa: N818 - named after what the caller gets
    """The correction would take a book where no operation could have taken it."""


def reset(session: Session, user_id: str, change: ChangeContext) -> Correction:
    """Post back everything used, in both running periods. Raises UnknownUserError and UnknownPlanError."""
    account, _ = _find_account(session, user_id)
    loaded, _ = load_for_update(session, account, key="", now=change.now)
    posted = {name: NOTHING - loaded.of(name).used for name in EngineName}
    return _post(session, EntryType.RESET, {"user_id": user_id}, loaded, posted, change=change)


def adjust(session: Session, adjustment: Adjustment, change: ChangeContext, *, evaluate: Evaluate) -> Correction:
    """Move the books by an adjustment, as the serving one allows.

    The other book moves by as much of it as it holds, and the answer says how much. Under a key the same adjustment
    happens once. Raises CorrectionRefused, KeyConflictError, UnknownUserError and UnknownPlanError.
    """
    user_id, key = adjustment.user_id, adjustment.key
    account, known = _find_account(session, user_id, key)
    loaded, known = load_for_update(session, account, key=key or "", now=change.now, known=known)
    # Only under the locks is `known` final: another request with this key may have committed while we waited for them.
    if key and known:
        return _replayed(session, adjustment, known, key)
    serving = evaluate(account).engine
    if mistakes := _beyond(loaded.of(serving), adjustment):
        raise CorrectionRefused(f"{' '.join(mistakes)} The {serving} book is left as it was.")
    # Each book by what it holds: the one that does not serve may have less to give back, and neither goes below zero.
    posted = {name: _clipped(loaded.of(name), adjustment.given) for name in EngineName}
    done = _post(session, EntryType.ADJUST, {"user_id": user_id, "operation_key": key}, loaded, posted, change=change)
    if key and not journal.remember(
        session, user_id, key, fingerprint=adjustment.fingerprint, journal_id=done.journal_id, now=change.now
    ):
        raise KeyConflictError(f"Key {key!r} is being answered by another request; try again.")
    return done


def set_used(session: Session, user_id: str, used: Mapping[EngineName, Amounts], change: ChangeContext) -> None:
    """Let both books count so much in their running periods, past the limit if need be.

    Raises UnknownUserError and UnknownPlanError.
    """
    account, _ = _find_account(session, user_id)
    loaded, _ = load_for_update(session, account, key="", now=change.now)
    posted = {name: used[name] - loaded.of(name).used for name in EngineName}
    if any(amounts != NOTHING for amounts in posted.values()):
        _post(session, EntryType.ADJUST, {"user_id": user_id}, loaded, posted, change=change)


def freeze(session: Session, user_id: str, change: ChangeContext) -> bool:
    """Stop all consumption of a user, or of everybody as `*`. False when it was stopped before, which stays as it was.

    Raises UnknownUserError.
    """
    if user_id != EVERYBODY:
        _find_account(session, user_id)
    if not accounts.freeze(session, user_id, now=change.now, actor=change.actor, reason=change.reason):
        return False
    post_adjustment(session, EntryType.FREEZE, {"user_id": user_id}, change)
    return True


def unfreeze(session: Session, user_id: str, change: ChangeContext) -> bool:
    """Let them consume again. False when nothing stood against it."""
    if not accounts.unfreeze(session, user_id):
        return False
    post_adjustment(session, EntryType.UNFREEZE, {"user_id": user_id}, change)
    return True


def _find_account(session: Session, user_id: str, key: str | None = None) -> tuple[Account, KnownKey | None]:
    found = accounts.find(session, user_id, key=key or "")
    if found is None:
        raise UnknownUserError(f"User {user_id!r} is not in the directory; add the user first.")
    return found


def _beyond(book: Book, adjustment: Adjustment) -> list[str]:
    """Return why the book can't follow, for each kind a sentence."""
    mistakes = []
    for kind in KINDS:
        used, limit, amount = book.used[kind], book.limits[kind], adjustment.given[kind]
        if amount > used:
            mistakes.append(f"{amount} {kind} can't be given back: {used} are used in this period.")
        if amount < 0 and limit is not None and used - amount > limit and not adjustment.beyond_limit:
            mistakes.append(f"{-amount} {kind} can't be taken: {max(limit - used, 0)} of {limit} are left.")
    return mistakes


def _clipped(book: Book, given: Amounts) -> Amounts:
    return Amounts.of(lambda kind: -min(given[kind], book.used[kind]))


def _post(
    session: Session,
    type_: EntryType,
    subject: Columns,
    loaded: Books,
    posted: Mapping[EngineName, Amounts],
    *,
    change: ChangeContext,
) -> Correction:
    """Move both books by `posted` and journal it; `subject` are the journal's columns of whom it is about."""
    v2, legacy = (EngineName.V2, EngineName.LEGACY)
    user_id = subject["user_id"]
    books.post_each(session, user_id, v2=(loaded.v2.period, posted[v2]), legacy=(loaded.legacy.period, posted[legacy]))
    before = {name.value: str(loaded.of(name).used) for name in EngineName}
    after = {name.value: str(loaded.of(name).used + posted[name]) for name in EngineName}
    columns = {**subject, **_columns(loaded, posted)}
    journal_id = post_adjustment(session, type_, columns, change, before=before, after=after)
    return Correction(journal_id, user_id, type_, posted, change.reason)


def _columns(loaded: Books, posted: Mapping[EngineName, Amounts]) -> dict[str, object]:
    """Return the journal columns of both books: before the correction, and the amounts posted."""
    found: dict[str, object] = {}
    for name in EngineName:
        book = loaded.of(name)
        found |= {
            f"{name.value}_period_start": book.period.start,
            f"{name.value}_period_end": book.period.end,
            f"{name.value}_posted": posted[name],
            f"{name.value}_used": book.used,
            f"{name.value}_limit": book.limits,
        }
    return found


def post_adjustment(
    session: Session,
    type_: EntryType,
    columns: Columns,
    change: ChangeContext,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> int:
    """Write one row of the journal, with these columns beside, and one of the audit trail; returns the row's id."""
    row = {"type": type_.value, "occurred_at": change.now, "reason": change.reason, "actor": change.actor}
    journal_id = journal.append(session, {**row, **columns})
    subject = f"credits:{columns['user_id']}"
    audit.record(session, change, action=f"credits.{type_}", subject=subject, before=before, after=after)
    return journal_id


def _replayed(session: Session, adjustment: Adjustment, known: KnownKey, key: str) -> Correction:
    if known.fingerprint != adjustment.fingerprint:
        raise KeyConflictError(
            f"Key {key!r} was used before for another request; use a new key or repeat it unchanged."
        )
    row = journal.fetch(session, adjustment.user_id, known.journal_id)
    posted = {name: row[f"{name.value}_posted"] for name in EngineName}
    return Correction(known.journal_id, row["user_id"], EntryType(row["type"]), posted, row["reason"], replayed=True)
