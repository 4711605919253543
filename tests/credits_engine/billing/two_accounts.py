"""One person with two accounts: what they do, and what they can spend of what somebody has paid for."""

from datetime import timedelta

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing.inbox import merges
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.memberships import Membership
from credits_engine.operations import account_books
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store import accounts
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PRO, STARTER = Amounts(10_000, 1_000), Amounts(1_000, 10)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


def take(
    billing: Billing, user_id: str, key: str, analysis: int = 0, roast: int = 0, *, member: Membership | None = None
) -> bool:
    operation = Operation(user_id, key, Amounts(analysis, roast), actor="test", member=member)
    with transaction() as session:
        return consume(session, operation, now=billing.now, evaluate=lambda _: V2_SERVES).granted


def merge(billing: Billing, user_id: str, into: str) -> list[str]:
    with transaction() as session:
        return merges.merge(session, user_id, into, ChangeContext(billing.now, "alice", "One person."))


def two_accounts(billing: Billing) -> VirtualStripe:
    """ada pays for pro, and old ada bought starter once."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    stripe.checkout("old", "starter_monthly")
    billing.process(stripe.events, at=START)
    return stripe


def spendable(billing: Billing, user_id: str) -> Amounts:
    """Return the credits that the plan leaves, by v2's book, and those that packs hold."""
    with read_only() as session:
        found = accounts.find(session, user_id)
        if found is None:
            return NOTHING
        book = account_books.read_books(session, found[0], billing.now).v2
    # Whoever is refused, as while their payment is disputed, has only what moves with a merge.
    plan = 0 if book.blocked else 1
    return Amounts.of(lambda kind: plan * max((book.limits[kind] or 0) - book.used[kind], 0) + book.bought[kind])


def in_packs(billing: Billing, user_id: str) -> Amounts:
    """Return the credits that packs hold, bought, given or rolled over."""
    with read_only() as session:
        found = accounts.find(session, user_id)
        return account_books.read_books(session, found[0], billing.now).v2.bought if found else NOTHING


def paid_for(billing: Billing, user_id: str) -> Amounts:
    """Return what packs hold, and what the plan leaves where a subscription grants it: a free one costs nothing."""
    is_sold = bool(billing.account(user_id)["service_end"])
    return spendable(billing, user_id) if is_sold else in_packs(billing, user_id)
