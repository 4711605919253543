"""What a user can spend now, and the part of it that somebody has paid for."""

from control_plane.platform.db.database import read_only
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.operations import account_books
from credits_engine.store import accounts
from tests.credits_engine.billing.conftest import Office


def spendable(office: Office, user_id: str) -> Amounts:
    """What the plan leaves, by v2's book, and what packs hold."""
    with read_only() as session:
        found = accounts.find(session, user_id)
        if found is None:
            return NOTHING
        book = account_books.read_books(session, found[0], office.now).v2
    return Amounts.of(lambda kind: max((book.limits[kind] or 0) - book.used[kind], 0) + book.bought[kind])


def in_packs(office: Office, user_id: str) -> Amounts:
    """What packs hold, bought, given or rolled over."""
    with read_only() as session:
        found = accounts.find(session, user_id)
        return account_books.read_books(session, found[0], office.now).v2.bought if found else NOTHING


def paid_for(office: Office, user_id: str) -> Amounts:
    """What packs hold, and what the plan leaves where a subscription grants it: a free plan costs nothing."""
    is_sold = bool(office.account(user_id)["service_end"])
    return spendable(office, user_id) if is_sold else in_packs(office, user_id)
