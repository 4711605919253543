"""Merging a user into another: the customers and their facts move, and nothing is granted or forgotten by it."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from credits_engine.administration import corrections, top_ups
from credits_engine.billing.entitlements import purchases
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.facts import PackPaid
from credits_engine.billing.store import accounts, facts, inbox, inbox_queries, merges
from credits_engine.billing.store.inbox import State
from credits_engine.store import members, reservations

MERGED = "merge"


def merge(session: Session, user_id: str, into: str, change: ChangeContext) -> list[str]:
    """Make every customer of `user_id` one of `into`; returns a sentence for each change.

    What was used of plan and packs counts on. Raises Problem: 404 for somebody unknown, 409 for one user, for members
    and accounts that have some, and while credits are reserved.
    """
    if user_id == into:
        raise Problem(409, "SAME_USER", f"{user_id!r} can't be merged into themselves.")
    customers = accounts.customers_of(session, user_id)
    if not customers:
        raise Problem(404, "NO_BILLING", f"User {user_id[:80]!r} is no customer of Stripe's, so nothing can move.")
    if not accounts.is_known(session, into):
        raise Problem(404, "UNKNOWN_USER", f"User {into[:80]!r} is not in the directory; add the user first.")
    _check_members(session, user_id, into, change.now)
    for customer_id in customers:
        accounts.lock_customer(session, customer_id)
        accounts.link(session, customer_id, into, now=change.now, by=change.actor)
    merges.add(session, user_id, into, now=change.now, by=change.actor)
    spent = _close_packs(session, user_id, into, change)
    sync_user(session, user_id, now=change.now, cause=MERGED)
    changes = [*sync_user(session, into, now=change.now, cause=MERGED).changes]
    changes += purchases.sync_packs(session, into, now=change.now, cause=MERGED)
    _take_spent(session, into, spent, change)
    corrections.carry_over(session, user_id, into, change)
    # Only now: until both books are locked somebody may still reserve.
    _check_reservations(session, user_id)
    released = sum(_release(session, customer_id, change.now) for customer_id in customers)
    audit.record(
        session,
        change,
        action="billing.merge",
        subject=f"user:{user_id}",
        after={"into": into, "customers": customers, "changes": changes, "released": released},
    )
    return changes


def _check_members(session: Session, user_id: str, into: str, now: datetime) -> None:
    found = members.find(session, into)
    if found and (found.ends_at is None or found.ends_at > now):
        # What they pay for would lie in an account of their own, from which they don't spend.
        sentence = f"User {into[:80]!r} spends from {found.account_id[:80]!r}; remove them there first."
        raise Problem(409, "IS_MEMBER", sentence)
    if members.of_account(session, user_id, now):
        # They would go on spending from an account that nobody pays for any more.
        raise Problem(409, "HAS_MEMBERS", f"User {user_id[:80]!r} has members; remove them first, and add them there.")


def _check_reservations(session: Session, user_id: str) -> None:
    """Raise Problem while credits are reserved: what of them is given back later would stay behind."""
    if reservations.has_pending(session, user_id):
        sentence = f"Credits of {user_id[:80]!r} are reserved; they are settled within 15 minutes, so merge then."
        raise Problem(409, "RESERVATION_OPEN", sentence)


def _close_packs(session: Session, user_id: str, into: str, change: ChangeContext) -> dict[str, int]:
    """End the packs that moved with their payments; returns how much of each was spent, by key."""
    spent: dict[str, int] = {}
    for paid in (fact for fact in facts.of_user(session, into) if isinstance(fact, PackPaid)):
        pack = facts.lock_packs(session, user_id, purchases.key_of(paid))
        if pack is None:
            continue
        spent[purchases.key_of(paid)] = pack.amount - pack.remaining - facts.revoked(session, pack)
        if pack.expires_at > change.now:
            top_ups.revoke_locked(session, pack, change)
    return spent


def _take_spent(session: Session, into: str, spent: dict[str, int], change: ChangeContext) -> None:
    for key, amount in spent.items():
        pack = facts.lock_packs(session, into, key)
        if pack is not None and amount and pack.remaining:
            top_ups.take_back(session, pack, min(amount, pack.remaining), change)


def _release(session: Session, customer_id: str, now: datetime) -> int:
    """Apply once more what was set aside because it names the other user."""
    dead = [row for row in inbox_queries.of_customers(session, [customer_id]) if row.state == State.DEAD]
    return sum(
        inbox.replay(session, row.event_id, now=now, attempts=0)
        for row in dead
        if row.reason.startswith("LinkConflictError")
    )
