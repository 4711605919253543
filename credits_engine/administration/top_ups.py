"""The life of a pack outside of operations: bought, revoked, expired. Each is a journal row and moves the pack."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.administration.corrections import CorrectionRefused, post_adjustment
from credits_engine.engines.amounts import Amounts, Kind
from credits_engine.engines.packs import Allocation, Pack
from credits_engine.engines.receipts import EntryType
from credits_engine.operations.consumption import KeyConflictError, LostRaceError, UnknownUserError
from credits_engine.store import accounts, journal, packs
from credits_engine.store.packs import NewPack

CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class TopUp:
    """A pack as it stands after what was done to it, and the journal row that says so."""

    journal_id: int
    pack: Pack
    moved: int
    replayed: bool = False


class UnknownPackError(LookupError):
    """There is no such pack."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase of credits of one kind for a user, valid until `expires_at`."""

    user_id: str
    kind: Kind
    amount: int
    expires_at: datetime

    @property
    def fingerprint(self) -> str:
        """Equal for two purchases exactly when they are the same."""
        return f"{EntryType.TOP_UP} {self.kind} {self.amount} {self.expires_at.isoformat()}"


def top_up(session: Session, purchase: Purchase, change: ChangeContext, *, key: str | None = None) -> TopUp:
    """Give the user a pack. Under a key it is given once.

    Raises UnknownUserError, KeyConflictError, LostRaceError, and CorrectionRefused for what would have expired already.
    """
    found = accounts.find(session, purchase.user_id, key=key or "")
    if found is None:
        raise UnknownUserError(f"User {purchase.user_id!r} is not in the directory; add the user first.")
    _, known = found
    if known:
        return _replayed(session, purchase, known, key)
    if purchase.expires_at <= change.now:
        raise CorrectionRefused(f"The pack would have expired at {purchase.expires_at.isoformat()}; name a later end.")
    pack = NewPack(purchase.user_id, purchase.kind, purchase.amount, change.now, purchase.expires_at)
    pack_id = packs.add(session, pack)
    journal_id = _post(session, purchase, pack_id, change, key)
    if key and not journal.remember(
        session, purchase.user_id, key, fingerprint=purchase.fingerprint, journal_id=journal_id, now=change.now
    ):
        raise LostRaceError(f"Key {key!r} is being answered by another request; try again.")
    packs.move(session, purchase.user_id, journal_id, (Allocation(pack_id, purchase.kind, purchase.amount),))
    return TopUp(journal_id, _locked(session, purchase.user_id, pack_id), purchase.amount)


def revoke(session: Session, pack_id: int, change: ChangeContext) -> TopUp:
    """End a pack now, as after a refund; what was spent of it stays spent. Raises UnknownPackError, CorrectionRefused.

    What a running reservation holds of it goes back into the ended pack, where nobody can spend it.
    """
    return revoke_locked(session, _locked(session, packs.owner(session, pack_id), pack_id), change)


def revoke_locked(session: Session, pack: Pack, change: ChangeContext) -> TopUp:
    """End a locked pack now, as `revoke` does. Raises CorrectionRefused."""
    if pack.expires_at <= change.now:
        raise CorrectionRefused(f"Pack {pack.id} expired at {pack.expires_at.isoformat()}; nothing is left to revoke.")
    packs.end(session, pack, change.now)
    return _lower(session, pack, pack.remaining, EntryType.PACK_REVOKE, change)


def take_back(session: Session, pack: Pack, amount: int, change: ChangeContext) -> TopUp:
    """Take unspent credits out of a locked pack that goes on, as after a refund of a part.

    `amount` is at most what the pack holds.
    """
    return _lower(session, pack, amount, EntryType.PACK_REVOKE, change)


def restore(session: Session, pack: Pack, amount: int, expires_at: datetime, change: ChangeContext) -> TopUp:
    """Put credits back that were taken out of a locked pack, as after a refund that failed."""
    packs.end(session, pack, expires_at)
    return _lower(session, pack, -amount, EntryType.PACK_REVOKE, change)


def expire(session: Session, user_id: str, pack_id: int, *, now: datetime) -> TopUp | None:
    """Journal what an expired pack still held; None when it holds nothing or has time left."""
    pack = _locked(session, user_id, pack_id)
    if pack.remaining == 0 or now < pack.expires_at:
        return None
    reason = f"{pack.remaining} {pack.kind} of a pack expired at {pack.expires_at.isoformat()}."
    return _lower(session, pack, pack.remaining, EntryType.PACK_EXPIRE, ChangeContext(now, CLOCK, reason))


def _post(session: Session, purchase: Purchase, pack_id: int, change: ChangeContext, key: str | None) -> int:
    described = {"pack": pack_id, "expiresAt": purchase.expires_at.isoformat()}
    columns = {
        "user_id": purchase.user_id,
        "operation_key": key,
        "requested": Amounts(**{purchase.kind: purchase.amount}),
        "context": described,
    }
    after = {**described, purchase.kind: purchase.amount}
    return post_adjustment(session, EntryType.TOP_UP, columns, change, after=after)


def _lower(session: Session, pack: Pack, by: int, type_: EntryType, change: ChangeContext) -> TopUp:
    columns = {
        "user_id": pack.user_id,
        "requested": Amounts(**{pack.kind: -by}),
        "context": {"pack": pack.id},
    }
    if type_ is EntryType.PACK_EXPIRE and pack.rolled_from:
        # By a rule, for every user at every month's turn: the journal tells of it, as it does of each period.
        row = {"type": type_.value, "occurred_at": change.now, "reason": change.reason, "actor": change.actor}
        journal_id = journal.append(session, {**row, **columns})
    else:
        before = {"pack": pack.id, "remaining": pack.remaining}
        after = {"pack": pack.id, "remaining": pack.remaining - by}
        journal_id = post_adjustment(session, type_, columns, change, before=before, after=after)
    if by:
        packs.move(session, pack.user_id, journal_id, (Allocation(pack.id, pack.kind, -by),))
    return TopUp(journal_id, _locked(session, pack.user_id, pack.id), -by)


def _locked(session: Session, user_id: str | None, pack_id: int) -> Pack:
    pack = None if user_id is None else packs.lock(session, user_id, pack_id)
    if pack is None:
        raise UnknownPackError(f"There is no pack {pack_id}; `rollout credits status USER` lists a user's packs.")
    return pack


def _replayed(session: Session, purchase: Purchase, known: accounts.KnownKey, key: str | None) -> TopUp:
    if known.fingerprint != purchase.fingerprint:
        raise KeyConflictError(
            f"Key {key!r} was used before for another request; use a new key or repeat it unchanged."
        )
    row = journal.fetch(session, purchase.user_id, known.journal_id)
    pack = _locked(session, purchase.user_id, row["context"]["pack"])
    return TopUp(known.journal_id, pack, purchase.amount, replayed=True)
