"""Organisations: the accounts that have members, and of one of them who spends from it and how much."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.administration import organisations
from credits_engine.engines.amounts import KINDS, Amounts, Kind
from credits_engine.engines.memberships import Membership
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books
from credits_engine.store import accounts, members
from credits_engine.store.accounts import Account

PAGE = 50


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member, and what they used of the running period; None where the account's plan is not known."""

    membership: Membership
    used: Amounts | None

    @property
    def spending(self) -> tuple[tuple[Kind, int | None, int | None], ...]:
        """Return each kind with what was used of it and the member's own limit; None for what there is not."""
        used, limits = self.used, self.membership.limits
        return tuple((kind, used[kind] if used else None, limits.get(kind)) for kind in KINDS)


@dataclass(frozen=True, slots=True)
class MembersScreen:
    """The members of one account as of `now`; without one, the accounts that have some."""

    now: datetime
    account_id: str
    kinds: Sequence[Kind]
    account: Account | None = None
    members: tuple[MemberView, ...] = ()
    seats: int | None = None
    """How many there is room for; None where the plan is not by the seat."""
    spends_from: str | None = None
    """Whose member the account's own user is: then it can have none."""
    organisations: tuple[tuple[str, int], ...] = ()
    next_organisation: str | None = None
    """The account after which the list goes on; None on its last page."""


def read(session: Session, account_id: str, *, after: str, now: datetime) -> MembersScreen:
    """Return the screen of an account, or the page of organisations behind `after`."""
    if not account_id:
        found = members.organisations(session, now, after=after, limit=PAGE + 1)
        more = found[PAGE - 1][0] if len(found) > PAGE else None
        return MembersScreen(now, "", KINDS, organisations=found[:PAGE], next_organisation=more)
    known = accounts.find(session, account_id)
    if known is None:
        return MembersScreen(now, account_id, KINDS)
    account, own = known[0], members.find(session, account_id)
    return MembersScreen(
        now,
        account_id,
        KINDS,
        account,
        _members(session, account, now),
        organisations.seats(account.plan),
        own.account_id if own and not own.has_ended(now) else None,
    )


def _members(session: Session, account: Account, now: datetime) -> tuple[MemberView, ...]:
    listed = members.of_account(session, account.user_id, now)
    try:
        start = account_books.read_books(session, account, now).v2.period.start
    except UnknownPlanError:
        return tuple(MemberView(each, None) for each in listed)
    return tuple(MemberView(each, members.used(session, each, start)) for each in listed)
