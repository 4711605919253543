"""Packs as the facts have them: each that was paid is granted once, and what was given back is taken out of it.

Like the entitlement it is a function of the set of facts, so neither order nor number of deliveries matters. What was
spent stays spent.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from fractions import Fraction

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.billing.entitlements.given_back import charges_given_back, credited_by_notes, share_of_pack
from credits_engine.billing.entitlements.plan_of_prices import UnmappedPriceError
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.entitlements.sync import dispute_policy
from credits_engine.billing.facts import CreditNote, Dispute, Fact, PackPaid, Refund, RefundFailed
from credits_engine.billing.store import facts
from credits_engine.engines.pack_prices import PackPrice
from credits_engine.engines.packs import Pack

ACTOR = "billing"
KEY_PREFIX = "stripe:"


def concerns(stated: Iterable[Fact]) -> bool:
    """Return whether any of these facts can change a pack."""
    return any(isinstance(fact, PackPaid | Refund | RefundFailed | Dispute | CreditNote) for fact in stated)


def sync_packs(session: Session, user_id: str, *, now: datetime, cause: str) -> list[str]:
    """Grant and take back what the facts of a user say; a sentence for each change.

    Call it with the user's books locked, as packs are locked behind them. Raises UnmappedPriceError.
    """
    stated = facts.of_user(session, user_id)
    changes: list[str] = []
    charges, notes = charges_given_back(stated, dispute_policy()), credited_by_notes(stated)
    bought = [each for each in stated if isinstance(each, PackPaid)]
    granted = {paid.identity: facts.lock_packs(session, user_id, key_of(paid)) for paid in bought}
    for paid in without_repeats(bought, {name for name, pack in granted.items() if pack}):
        pack = granted[paid.identity]
        if pack is None:
            pack, sentence = _granted(session, user_id, paid, now=now, cause=cause)
            changes.append(sentence)
        if pack is not None:
            wanted = to_take_back(pack.amount, share_of_pack(paid, charges, notes))
            changes += _restored(session, pack, paid, wanted, now=now, cause=cause)
            changes += _revoked(session, pack, wanted, now=now, cause=cause)
    return changes


def without_repeats(bought: Iterable[PackPaid], granted: AbstractSet[str]) -> list[PackPaid]:
    """Leave out what is told twice: of a checkout that makes an invoice both tell what was sold.

    Whichever was granted first counts, for it can't be granted again; the checkout where neither was yet.
    """
    sales: dict[str, list[PackPaid]] = {}
    for paid in sorted(bought, key=lambda each: (each.at, each.identity)):
        sales.setdefault(paid.invoice_id or paid.identity, []).append(paid)
    found = []
    for records in sales.values():
        lines = [each for each in records if each.is_line]
        sessions = [each for each in records if not each.is_line]
        is_by_lines = not sessions or any(each.identity in granted for each in lines)
        found += lines if is_by_lines else sessions
    return found


def key_of(paid: PackPaid) -> str:
    """Return the key under which a pack is granted once."""
    return f"{KEY_PREFIX}{paid.identity}"


def to_take_back(amount: int, share: Fraction) -> int:
    """Return the number of `amount` credits to revoke for the share of the money that was given back."""
    # Whole credits, rounded down in the customer's favour: a part of a credit is not taken back.
    return int(amount * share)


def _granted(session: Session, user_id: str, paid: PackPaid, *, now: datetime, cause: str) -> tuple[Pack | None, str]:
    offer = _offer(paid)
    ends_at, amount = paid.at + offer.valid, offer.amount * paid.quantity
    if ends_at <= now:
        return None, f"The pack {paid.price} was paid so long ago that it ended at {ends_at:%Y-%m-%dT%H:%M:%SZ}."
    purchase = Purchase(user_id, offer.kind, amount, ends_at)
    reason = f"Bought {paid.price} for {amount} {offer.kind}, told by {cause}."
    done = top_ups.top_up(session, purchase, ChangeContext(now, ACTOR, reason), key=key_of(paid))
    return done.pack, f"A pack of {amount} {offer.kind} until {ends_at:%Y-%m-%dT%H:%M:%SZ}."


def _offer(paid: PackPaid) -> PackPrice:
    offer = find_offer(paid.price)
    if offer is None:
        sentence = f"A checkout paid for {paid.price}, which buys no pack we know. Add the price to the packs on sale."
        raise UnmappedPriceError(paid.price, sentence)
    return offer


def _restored(session: Session, pack: Pack, paid: PackPaid, wanted: int, *, now: datetime, cause: str) -> list[str]:
    """Put back what was taken for a refund that failed or a dispute that was won."""
    offer = find_offer(paid.price)
    back = facts.revoked(session, pack, actor=ACTOR) - wanted
    if back <= 0 or offer is None or paid.at + offer.valid <= now:
        return []
    reason = f"The money was not given back after all, told by {cause}."
    top_ups.restore(session, pack, back, paid.at + offer.valid, ChangeContext(now, ACTOR, reason))
    return [f"{back} {pack.kind} of pack {pack.id} are put back: the money was not given back after all."]


def _revoked(session: Session, pack: Pack, wanted: int, *, now: datetime, cause: str) -> list[str]:
    # An expired pack holds nothing that anybody could spend, so there is nothing to take.
    if wanted == 0 or pack.expires_at <= now:
        return []
    if wanted == pack.amount:
        done = top_ups.revoke_locked(session, pack, ChangeContext(now, ACTOR, f"Given back in full, told by {cause}."))
        return [f"Pack {pack.id} is ended: its payment was given back, with {-done.moved} {pack.kind} unspent."]
    # What was spent stays spent: more than is left is never taken, or the next purchase would pay for it.
    rest = min(wanted - facts.revoked(session, pack), pack.remaining)
    if rest <= 0:
        return []
    top_ups.take_back(session, pack, rest, ChangeContext(now, ACTOR, f"Given back in part, told by {cause}."))
    return [f"{rest} {pack.kind} of pack {pack.id} are taken back with the money."]
