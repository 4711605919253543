"""What every step of one sync of one user needs, and how it journals what it changed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing.entitlements.changes import Merged
from credits_engine.billing.store.accounts import BillingAccount
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.receipts import EntryType
from credits_engine.store import journal

ACTOR = "billing"
CLOCK = "clock"
MERGED = "merge"


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One sync of one user: their locked account, the instant, and the event or the clock behind it."""

    session: Session
    account: BillingAccount
    now: datetime
    cause: str
    merged: Merged

    @property
    def merged_at(self) -> datetime | None:
        """Return when another account was last merged into theirs."""
        return max(self.merged.values(), default=None)

    def journal(
        self, type_: EntryType, period: Period, plan: CreditPlan | None, reason: str, posted: Amounts = NOTHING
    ) -> str:
        """Journal a change of the limits or bounds of `period`, or of what counts in it; returns its sentence.

        Without a plan its limits stayed as they were.
        """
        journal.append(
            self.session,
            {
                "type": type_.value,
                "occurred_at": self.now,
                "user_id": self.account.user_id,
                "reason": reason,
                "actor": ACTOR,
                "context": {"cause": self.cause},
                "v2_period_start": period.start,
                "v2_period_end": period.end,
                "v2_limit": plan.v2 if plan else None,
                "v2_posted": posted,
            },
        )
        return reason
