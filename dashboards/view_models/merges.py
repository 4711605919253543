"""Two users who are one person: what both have at Stripe and here, and what stands in the way of merging them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.problems import Problem
from credits_engine.billing.inbox import merges
from credits_engine.billing.store import accounts as billing_accounts
from credits_engine.store import accounts
from dashboards.problem_sentences import problem_sentence


@dataclass(frozen=True, slots=True)
class SideView:
    """One of both: the plan in the directory, None where it has no such user, and the customers at Stripe."""

    user_id: str
    plan: str | None
    customers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MergeScreen:
    """The form as of `now`, and once both are named what they have and why they can't be merged, if so."""

    now: datetime
    user_id: str
    into: str
    sides: tuple[SideView, ...] = ()
    mistake: str = ""

    @property
    def may_merge(self) -> bool:
        """Return whether nothing stands in the way."""
        return bool(self.sides) and not self.mistake


def read(session: Session, user_id: str, into: str, now: datetime) -> MergeScreen:
    """Return the screen of these two."""
    if not user_id or not into:
        return MergeScreen(now, user_id, into)
    sides = tuple(_side(session, name) for name in (user_id, into))
    try:
        merges.check(session, user_id, into, now)
    except Problem as problem:
        return MergeScreen(now, user_id, into, sides, problem_sentence(problem))
    return MergeScreen(now, user_id, into, sides)


def _side(session: Session, user_id: str) -> SideView:
    found = accounts.find(session, user_id)
    customers = billing_accounts.customers_of(session, user_id)
    return SideView(user_id, found[0].plan if found else None, tuple(customers))
