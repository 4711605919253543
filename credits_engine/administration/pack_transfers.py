"""Packs that go over into another account, with all that was taken back of them, when two accounts are one person's.

What was taken back goes over under the name of whoever took it: a refund that is told later takes no more than it would
have before, and one that fails puts back no more.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.packs import Allocation, Pack
from credits_engine.engines.receipts import EntryType
from credits_engine.store import journal, packs
from credits_engine.store.books import CounterRow
from credits_engine.store.packs import Grant, NewPack

SYSTEM = "credits"


def transfer_packs(
    session: Session, user_id: str, into: str, now: datetime, *, key_prefix: str, given: AbstractSet[int]
) -> list[str]:
    """Move every pack that holds credits, or may hold some again, to `into`; a sentence for each that holds some.

    Call it with the books of both locked. A key that begins with `key_prefix` leads to the pack in the new account from
    then on. `given` are packs that rolled over from a plan which nobody has to pay for.
    """
    grants = [each for each in packs.lock_grants(session, user_id) if each.until > now]
    for grant in grants:
        _transfer(session, grant, into, now, key_prefix=key_prefix, is_given=grant.pack.id in given)
    held = [each.pack for each in grants if each.pack.remaining and each.pack.expires_at > now]
    return [f"{pack.remaining} {pack.kind} of a pack until {pack.expires_at:%Y-%m-%dT%H:%M:%SZ}." for pack in held]


def _transfer(session: Session, grant: Grant, into: str, now: datetime, *, key_prefix: str, is_given: bool) -> None:
    pack, taken = grant.pack, packs.taken_back(session, grant.pack)
    _take_out(session, pack, now)
    moved = NewPack(into, pack.kind, pack.amount, pack.bought_at, pack.expires_at, merged_from=pack.rolled_from)
    pack_id = packs.add(session, moved)
    key = grant.key if grant.key and grant.key.startswith(key_prefix) else None
    context = {**grant.context, "pack": pack_id, **({"given": True} if is_given else {})}
    start, end = grant.period
    row = {"operation_key": key, "context": context, "v2_period_start": start, "v2_period_end": end}
    held = pack.remaining + sum(taken.values())
    journal_id = _post(session, into, Allocation(pack_id, pack.kind, held), now, row)
    if key:
        _lead_to(session, Purchase(into, pack.kind, pack.amount, grant.until), key, journal_id, now)
    for actor, amount in taken.items():
        if amount:
            revoked = {"type": EntryType.PACK_REVOKE.value, "actor": actor, "context": {"pack": pack_id}}
            _post(session, into, Allocation(pack_id, pack.kind, -amount), now, revoked)


def _take_out(session: Session, pack: Pack, now: datetime) -> None:
    if pack.expires_at > now:
        packs.end(session, pack, now)
    out = Allocation(pack.id, pack.kind, -pack.remaining)
    _post(session, pack.user_id, out, now, {"context": {"pack": pack.id}})


def _post(session: Session, user_id: str, move: Allocation, now: datetime, columns: Mapping[str, object]) -> int:
    """Write a row of the journal and move the pack by it, if by nothing: the row says where the pack is."""
    row = {
        "type": EntryType.PACK_TRANSFER.value,
        "occurred_at": now,
        "user_id": user_id,
        "requested": Amounts(**{move.kind: move.amount}),
        "reason": "The pack went over with an account that was merged into another one.",
        "actor": SYSTEM,
        **columns,
    }
    journal_id = journal.append(session, row)
    packs.move(session, user_id, journal_id, (move,))
    return journal_id


def _lead_to(session: Session, pack: Purchase, key: str, journal_id: int, now: datetime) -> None:
    # Whoever had it before an earlier merge, and gets it back, has the key already.
    if not journal.remember(session, pack.user_id, key, fingerprint=pack.fingerprint, journal_id=journal_id, now=now):
        journal.redirect(session, pack.user_id, key, journal_id=journal_id)


def add_unused(session: Session, user_id: str, row: CounterRow, subscription_id: str, now: datetime) -> Amounts:
    """Add what a running period of another plan still has as packs that end with it; returns how much that is.

    `subscription_id` is the one that paid for it.
    """
    left = Amounts.of(lambda kind: max((row.limits[kind] or 0) - row.used[kind], 0))
    for kind, amount in left.items():
        if amount:
            pack = NewPack(user_id, kind, amount, now, row.period.end, merged_from=row.period.start)
            pack_id = packs.add(session, pack)
            context = {"pack": pack_id, "expiresAt": row.period.end.isoformat(), "plan": row.plan}
            columns = {
                "type": EntryType.ROLLOVER.value,
                "reason": f"{amount} {kind} were left of {row.plan}, which a merge ended.",
                "context": {**context, "subscription": subscription_id},
                "v2_period_start": row.period.start,
                "v2_period_end": row.period.end,
                "v2_used": row.used,
                "v2_limit": row.limits,
            }
            _post(session, user_id, Allocation(pack_id, kind, amount), now, columns)
    return left
