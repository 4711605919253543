"""What two accounts that become one have by their plans: the higher plan goes on with what was used of it.

What is left of the other plan's period, where that was paid for, can be spent until that period ends, like what rolls
over. What was used of a plan that nobody paid for counts no more once there is a better one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.administration import corrections, pack_transfers
from credits_engine.billing.entitlements.changes import Entitlement, entitlement_at
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.entitlements.sync import dispute_policy, sync_user
from credits_engine.billing.store import accounts, facts
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.periods import Period, calendar_month
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.rollovers import raised
from credits_engine.operations.account_books import load_for_update
from credits_engine.operations.consumption import UnknownUserError
from credits_engine.store import accounts as directory
from credits_engine.store import books, rollovers, usage_webhooks
from credits_engine.store.books import CounterRow


@dataclass(frozen=True, slots=True)
class CurrentPlan:
    """The plan of a user as it stands: their running period, what either engine counts, and what it is paid by."""

    user_id: str
    row: CounterRow
    used: Mapping[EngineName, Amounts]
    entitlement: Entitlement | None

    @property
    def subscription_id(self) -> str | None:
        """Return the subscription that grants it; None where none does."""
        found = self.entitlement
        return found.subscription_id if found and found.is_live else None


def current_plan(session: Session, user_id: str, now: datetime) -> CurrentPlan:
    """Bring a user up to the clock and return their plan, with both books locked.

    Raises UnmappedPriceError and UnknownPlanError.
    """
    entitlement = sync_user(session, user_id, now=now).entitlement
    found = directory.find(session, user_id)
    if found is None:
        raise UnknownUserError(f"User {user_id!r} is not in the directory; add the user first.")
    loaded, _ = load_for_update(session, found[0], key="", now=now)
    row = books.lock_current(session, user_id, now)
    assert row is not None  # it has just been locked
    return CurrentPlan(user_id, row, {name: loaded.of(name).used for name in EngineName}, entitlement)


@dataclass(frozen=True, slots=True)
class PlanTransfer:
    """The plan that moves with a merge, those of both before, and whether it is the source's that goes on."""

    source: CurrentPlan
    target: CurrentPlan
    granting: str | None

    @property
    def moves(self) -> bool:
        """Return whether the plan of the account that is merged away goes on."""
        return self.granting is not None and self.granting == self.source.subscription_id

    @property
    def over(self) -> CurrentPlan | None:
        """Return the plan that does not go on, where a subscription granted it."""
        found = self.target if self.moves else self.source
        return found if found.subscription_id and self.granting else None


def plan_transfer(session: Session, source: CurrentPlan, target: CurrentPlan, now: datetime) -> PlanTransfer:
    """Return whose plan goes on, by all facts of both; call it once the target has them."""
    known = histories(facts.of_user(session, target.user_id), dispute_policy())
    found = entitlement_at(known, now, catalogue())
    return PlanTransfer(source, target, found.subscription_id if found and found.is_live else None)


def prepare(session: Session, transfer: PlanTransfer, now: datetime) -> None:
    """Keep what is left of the plan that ends, and give the target the period of the one that goes on.

    Call it before the target is synced with the facts of both.
    """
    if transfer.over and transfer.over.subscription_id:
        left = pack_transfers.add_unused(
            session, transfer.target.user_id, transfer.over.row, transfer.over.subscription_id, now
        )
        _lower(session, transfer.over, left)
    if transfer.moves:
        _align(session, transfer.target, transfer.source.row, now)


def finish(session: Session, transfer: PlanTransfer, change: ChangeContext) -> None:
    """Let the target's books count what was used of the plan that goes on; of two that nobody sold, of both."""
    source, target = transfer.source, transfer.target
    if transfer.moves:
        row = books.lock_current(session, target.user_id, change.now)
        assert row is not None  # it was aligned
        if row.plan == source.row.plan:
            # With the limits that its period was opened with, whatever they are by now.
            rollovers.lower_limits(session, {(target.user_id, row.period.start): source.row.limits})
        corrections.set_used(session, target.user_id, source.used, change)
        month = calendar_month(change.now).start
        begun = {month: month, source.row.period.start: row.period.start}
        usage_webhooks.copy_events(session, source.user_id, target.user_id, begun, now=change.now)
    elif transfer.granting is None:
        used = {name: source.used[name] + target.used[name] for name in EngineName}
        corrections.set_used(session, target.user_id, used, change)


def _lower(session: Session, over: CurrentPlan, left: Amounts) -> None:
    """Take out of the period what is in packs by now: whoever's clock is behind finds it there."""
    lowered = raised(over.row.limits, -left)
    rollovers.lower_limits(session, {(over.user_id, over.row.period.start): lowered})


def _align(session: Session, target: CurrentPlan, row: CounterRow, now: datetime) -> None:
    """Let the target's running period end where the plan's does, and begin there where theirs began before."""
    own = target.row.period
    _, following = books.neighbours(session, target.user_id, now)
    end = min(row.period.end, following) if following else row.period.end
    if own.start < row.period.start:
        accounts.move_period(session, target.user_id, own, Period(own.start, row.period.start))
        books.open_period(session, target.user_id, Period(row.period.start, end), CATALOGUE.plan(row.plan))
    elif own.end != end:
        accounts.move_period(session, target.user_id, own, Period(own.start, end))
