"""The cost of an incident for one account, and the compensation proposed. Pure.

v2 charged and legacy was asked as well, so "would have charged" is no guess: it is legacy's answer to the same
request. What v2 took too much is given back. What it took too little stays with the house: nobody is charged
afterwards for a mistake of ours. Differences that the declared policies explain are shown and not corrected.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from credits_engine.engines.amounts import NOTHING, Amounts

UNKNOWN_BAD_TIME = timedelta(hours=1)
LONGEST_BAD_TIME = timedelta(days=1)


class ReportState(StrEnum):
    """`prepared` waits for an owner; `approved` is being posted; `settled` has nothing left to do."""

    PREPARED = "prepared"
    APPROVED = "approved"
    SETTLED = "settled"


class ItemState(StrEnum):
    """The state of one account's compensation; `none` where there is nothing to give back."""

    NONE = "none"
    PROPOSED = "proposed"
    POSTED = "posted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AccountImpact:
    """One account whose answers differed: how, by how much, and what it is owed."""

    user_id: str
    operations: int
    """Operations that v2 served and on which the engines did not simply agree."""
    failed: int
    """Of these, what v2 failed and legacy would have answered."""
    refused: int
    """Of these, what v2 refused and legacy would have allowed."""
    v2: Amounts
    legacy: Amounts
    """What each charged, or would have charged, for these operations."""
    owed: Amounts = NOTHING
    """What v2 charged too much by mistake."""


@dataclass(frozen=True, slots=True)
class Total:
    """All that v2 served during the incident."""

    users: int
    operations: int
    v2: Amounts
    legacy: Amounts


def compensation(over: Amounts, again: Amounts) -> Amounts:
    """Return the credits to give back of what v2 charged differently (`over`, net) and charged again (`again`)."""
    return Amounts.of(lambda kind: max(0, over[kind])) + again


def incident_began_at(
    rolled_back_at: datetime, *, first_difference: datetime | None, not_before: datetime | None
) -> datetime:
    """Return when the incident began: at the first difference that nothing explains, a day before the rollback at most.

    Without any, an hour is looked at. What an earlier rollback has reported on is never counted again.
    """
    began = first_difference or rolled_back_at - UNKNOWN_BAD_TIME
    return max(began, rolled_back_at - LONGEST_BAD_TIME, not_before or began)
