"""Members of an organisation: whose account an operation is of, under which key, and what each may spend of it. Pure.

A member's operation is the account's in every respect: its books, its locks, its flag. Only the key is told apart, for
two members may choose the same one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book

MARK = "\x1f"
"""Between a member and their key. Callers' keys hold printable characters alone, so none is taken for another."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Whose account a user spends from, between two moments, and how much of a kind in each of its periods."""

    user_id: str
    account_id: str
    starts_at: datetime
    limits: Mapping[str, int] = field(default_factory=dict)
    """By kind; one that is not there has no limit of its own."""
    ends_at: datetime | None = None
    former_accounts: Sequence[str] = ()
    """Other accounts that they were a member of before."""

    def is_in_force(self, now: datetime) -> bool:
        """Return whether the member's operations are the account's at `now`."""
        return self.starts_at <= now and not self.has_ended(now)

    def has_ended(self, now: datetime) -> bool:
        """Return whether it is over at `now`; one that has yet to begin is not."""
        return self.ends_at is not None and self.ends_at <= now

    def earlier(self) -> Iterator["Membership"]:
        """Yield the membership of each account that they were a member of, the last one first."""
        for account in (self.account_id, *reversed(self.former_accounts)):
            yield replace(self, account_id=account)


def member_key(user_id: str, key: str) -> str:
    """Return the key of a member's operation in the account; it does not name them."""
    return f"{hashlib.blake2b(user_id.encode(), digest_size=12).hexdigest()}{MARK}{key}"


def own_key(key: str) -> str:
    """Return the key as the caller chose it."""
    return key.rpartition(MARK)[2]


def beyond_limit(membership: Membership, used: Amounts, requested: Amounts) -> str | None:
    """Return why the member may not have so much more; None where they may."""
    for kind, amount in requested.items():
        limit = membership.limits.get(kind)
        if limit is not None and amount and used[kind] + amount > limit:
            had = f"{used[kind]} of {limit} {kind} are used in this period"
            return f"A member's limit: {had}, and {amount} more are asked."
    return None


def refused(book: Book, reason: str | None) -> Book:
    """Return the book as one that grants nothing, for both engines alike; what else stands against it goes first."""
    return replace(book, blocked=book.blocked or reason)
