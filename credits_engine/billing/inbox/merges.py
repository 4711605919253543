"""Merging a user into another: the customers and their facts move, and nothing is granted or forgotten by it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from credits_engine.administration import pack_transfers
from credits_engine.billing.entitlements import plan_transfers, purchases, rollovers
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.entitlements.plan_of_prices import FREE, NOT_IN_CATALOGUE
from credits_engine.billing.entitlements.plan_transfers import CurrentPlan
from credits_engine.billing.entitlements.sync import dispute_policy, sync_user
from credits_engine.billing.entitlements.sync_run import MERGED
from credits_engine.billing.store import accounts, auto_top_ups, facts, inbox, inbox_queries, merges
from credits_engine.billing.store.inbox import State
from credits_engine.store import accounts as directory
from credits_engine.store import members, reservations


def merge(session: Session, user_id: str, into: str, change: ChangeContext) -> list[str]:
    """Make every customer of `user_id` one of `into`; returns a sentence for each change.

    What was paid for and is left can be spent by `into`: of plans, of packs, of what rolled over. Raises Problem: 404
    for somebody unknown, 409 for one user, for members and accounts that have some, for whoever is frozen, while
    credits are reserved or a dispute freezes what either has paid for, and while the catalogue lacks the price or the
    plan of either.
    """
    try:
        return _merge(session, user_id, into, change)
    except NOT_IN_CATALOGUE as error:
        raise Problem(409, "NOT_IN_CATALOGUE", str(error)) from error


def check(session: Session, user_id: str, into: str, now: datetime) -> list[str]:
    """Return the customers that `merge` would move. Raises Problem where it would be refused; nothing is changed."""
    customers = _checked_customers(session, user_id, into, now)
    for name in (user_id, into):
        _check_disputes(session, name, now)
    _check_reservations(session, user_id)
    return customers


def _merge(session: Session, user_id: str, into: str, change: ChangeContext) -> list[str]:
    customers = _checked_customers(session, user_id, into, change.now)
    for customer_id in customers:
        accounts.lock_customer(session, customer_id)
    # In the order of their names, whoever is merged into whom: two merges never wait for each other in a circle.
    for name in sorted((user_id, into)):
        accounts.lock_account(session, name, now=change.now, default_plan=FREE)
    source, target = (plan_transfers.current_plan(session, name, change.now) for name in (user_id, into))
    for name in (user_id, into):
        _check_disputes(session, name, change.now)
    # Only now: until both books are locked somebody may still reserve.
    _check_reservations(session, user_id)
    changes = _move_packs(session, source, into, change.now)
    _move_customers(session, source, customers, into, change)
    transfer = plan_transfers.plan_transfer(session, source, target, change.now)
    if transfer.moves:
        _check_reservations(session, into)
    plan_transfers.prepare(session, transfer, change.now)
    sync_user(session, user_id, now=change.now, cause=MERGED)
    changes += sync_user(session, into, now=change.now, cause=MERGED).changes
    changes += purchases.sync_packs(session, into, now=change.now, cause=MERGED)
    plan_transfers.finish(session, transfer, change)
    auto_top_ups.transfer(session, user_id, into)
    released = sum(_release(session, customer_id, change.now) for customer_id in customers)
    audit.record(
        session,
        change,
        action="billing.merge",
        subject=f"user:{user_id}",
        after={"into": into, "customers": customers, "changes": changes, "released": released},
    )
    return changes


def _move_packs(session: Session, source: CurrentPlan, into: str, now: datetime) -> list[str]:
    user_id = source.user_id
    given = rollovers.given_for_nothing(session, user_id, now)
    moved = pack_transfers.transfer_packs(session, user_id, into, now, key_prefix=purchases.KEY_PREFIX, given=given)
    return [f"{each} moved." for each in moved]


def _move_customers(
    session: Session, source: CurrentPlan, customers: Sequence[str], into: str, change: ChangeContext
) -> None:
    found = source.entitlement
    if found and found.subscription_id and found.opened_at:
        # That payment has opened its period, and opens none for anybody else.
        accounts.record_opening(
            session, found.subscription_id, found.opened_at, user_id=source.user_id, event_id=MERGED, now=change.now
        )
    for customer_id in customers:
        accounts.link(session, customer_id, into, now=change.now, by=change.actor, merged_at=change.now)
    merges.add(session, source.user_id, into, now=change.now, by=change.actor)


def _checked_customers(session: Session, user_id: str, into: str, now: datetime) -> list[str]:
    """Return the customers that are to move; raise Problem where they can't."""
    if user_id == into:
        raise Problem(409, "SAME_USER", f"{user_id!r} can't be merged into themselves.")
    customers = accounts.customers_of(session, user_id)
    if not customers:
        raise Problem(404, "NO_BILLING", f"User {user_id[:80]!r} is no customer of Stripe's, so nothing can move.")
    if not accounts.is_known(session, into):
        raise Problem(404, "UNKNOWN_USER", f"User {into[:80]!r} is not in the directory; add the user first.")
    if (current := merges.current(session, into)) not in {user_id, into}:
        # Events that name them are the other's.
        sentence = f"User {into[:80]!r} is part of {current[:80]!r}; merge into that one."
        raise Problem(409, "MERGED_ALREADY", sentence)
    _check_members(session, user_id, into, now)
    _check_frozen(session, user_id)
    return customers


def _check_members(session: Session, user_id: str, into: str, now: datetime) -> None:
    found = members.find(session, into)
    if found and not found.has_ended(now):
        # What they pay for would lie in an account of their own, from which they don't spend.
        sentence = f"User {into[:80]!r} spends from {found.account_id[:80]!r}; remove them there first."
        raise Problem(409, "IS_MEMBER", sentence)
    if members.of_account(session, user_id, now):
        # They would go on spending from an account that nobody pays for any more.
        raise Problem(409, "HAS_MEMBERS", f"User {user_id[:80]!r} has members; remove them first, and add them there.")


def _check_frozen(session: Session, user_id: str) -> None:
    """Raise Problem for whoever is frozen: what they have would be free again in the other account."""
    if directory.frozen_because(session, user_id):
        raise Problem(409, "FROZEN", f"User {user_id[:80]!r} is frozen; unfreeze them first, or leave them apart.")


def _check_reservations(session: Session, user_id: str) -> None:
    """Raise Problem while credits are reserved: what of them is given back later would not be theirs any more."""
    if reservations.has_pending(session, user_id):
        sentence = f"Credits of {user_id[:80]!r} are reserved; they are settled within 15 minutes, so merge then."
        raise Problem(409, "RESERVATION_OPEN", sentence)


def _check_disputes(session: Session, user_id: str, now: datetime) -> None:
    """Raise Problem while a dispute freezes a subscription: what of it is left to move is known once it is decided."""
    known = histories(facts.of_user(session, user_id), dispute_policy())
    if any(each.is_frozen_at(now) for each in known):
        sentence = f"A payment of {user_id[:80]!r} is disputed; merge once that is won or lost."
        raise Problem(409, "PAYMENT_DISPUTED", sentence)


def _release(session: Session, customer_id: str, now: datetime) -> int:
    """Apply once more what was set aside because it names the other user."""
    dead = [row for row in inbox_queries.of_customers(session, [customer_id]) if row.state == State.DEAD]
    return sum(
        inbox.replay(session, row.event_id, now=now, attempts=0)
        for row in dead
        if row.reason.startswith("LinkConflictError")
    )
