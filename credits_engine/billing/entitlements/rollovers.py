"""What rolled over from a period that is sold stays as long as all of that period is paid for, whatever is told when.

Like packs it is a function of the set of facts: a payment that comes late puts back what a refund takes away. What was
spent stays spent.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from credits_engine.administration import top_ups
from credits_engine.billing.entitlements.changes import Merged
from credits_engine.billing.entitlements.history import History, histories
from credits_engine.billing.entitlements.plan_of_prices import FREE, find_plan
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.entitlements.subscriptions import paid_coverages
from credits_engine.billing.entitlements.sync_run import ACTOR, CLOCK, SyncRun
from credits_engine.billing.store import accounts, facts, merges
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE, Catalogue
from credits_engine.store import rollovers
from credits_engine.store.books import CounterRow
from credits_engine.store.rollovers import RolledOver


def is_sold(plan: str, known: Iterable[History], plans: Catalogue) -> bool:
    """Return whether any subscription of theirs ever was for this plan, so that it has to be paid for."""
    granting = (snapshot for history in known for snapshot in history.grants)
    found = (find_plan(snapshot, plans) for snapshot in granting)
    return plan != FREE and any(each is not None and each.name == plan for each in found)


def is_paid_through(plan: str, period: Period, known: Iterable[History], plans: Catalogue) -> bool:
    """Return whether this plan is paid for from the start of a period to its end, by however many invoices."""
    reached = period.start
    for span in sorted(_paid_spans(plan, known, plans)):
        if span.start <= reached:
            reached = max(reached, span.end)
    return reached >= period.end


def had_one_plan(session: Session, user_id: str, ended: CounterRow) -> bool:
    """Return whether a period had one plan all the same, where that was told after it had begun with another."""
    return is_paid_through(ended.plan, ended.period, _histories(session, user_id), catalogue())


def sync_opened(session: Session, user_ids: Set[str], now: datetime) -> None:
    """Sync what has just rolled over into periods that the clock opened, of users who are known to billing."""
    for user_id in accounts.known_users(session, user_ids):
        if account := accounts.show_account(session, user_id):
            run = SyncRun(session, account, now, CLOCK, accounts.merged_customers(session, user_id))
            sync_rollovers(run, _histories(session, user_id), granting=account.subscription_id)


def sync_rollovers(run: SyncRun, known: Sequence[History], *, granting: str | None) -> list[str]:
    """Take back what rolled over from periods that are not paid for, and put back what was; a sentence for each.

    Call it with the user's books locked, as packs are locked behind them. `granting` is the subscription that decides
    what they have.
    """
    if not CATALOGUE.rolling_plans and not run.merged:
        return []
    session = run.session
    change = ChangeContext(run.now, ACTOR, f"Whether its period is paid for is told by {run.cause}.")
    changes = []
    for each in rollovers.lock_rolled_over(session, run.account.user_id, run.now):
        # Of a plan that grants its limits once more nothing can be left beside them.
        is_earned = each.is_as_it_was and (each.subscription_id is None or each.subscription_id != granting)
        is_earned = is_earned and _is_earned(session, each, _payers(each, known, run.merged))
        changes += _restored(session, each, change) if is_earned else _revoked(session, each, change)
    return changes


def given_for_nothing(session: Session, user_id: str, now: datetime) -> set[int]:
    """Return the packs that rolled over from a plan that no subscription of theirs was for, and that are whole."""
    known = _histories(session, user_id)
    held = rollovers.lock_rolled_over(session, user_id, now)
    free = [each for each in held if each.is_given or not (each.is_merged or is_sold(each.plan, known, catalogue()))]
    return {each.pack.id for each in free if each.is_given or not facts.revoked(session, each.pack, actor=ACTOR)}


def _payers(rolled: RolledOver, known: Sequence[History], merged: Merged) -> list[History]:
    """Return the subscriptions that can have paid for a period: a merge brought others, or it brought the period."""
    if rolled.subscription_id:
        return [each for each in known if each.subscription_id == rolled.subscription_id]
    came_later = {name for name, at in merged.items() if at >= rolled.period.end}
    return [each for each in known if (each.newest.customer_id in came_later) is rolled.is_merged]


def _is_earned(session: Session, rolled: RolledOver, payers: Sequence[History]) -> bool:
    if rolled.is_given:
        return True
    if rolled.subscription_id:
        # A merge left it of a running period, whose plan may have been another one when it began: the rest counts.
        rest = Period(rolled.pack.bought_at, rolled.period.end)
        return is_paid_through(rolled.plan, rest, payers, catalogue())
    if rolled.is_merged or is_sold(rolled.plan, payers, catalogue()):
        return is_paid_through(rolled.plan, rolled.period, payers, catalogue())
    user_id = rolled.pack.user_id
    return _is_given(session, user_id, rolled.plan) and not rollovers.changed_plan(
        session, [(user_id, rolled.period.start)]
    )


def _is_given(session: Session, user_id: str, plan: str) -> bool:
    """Return whether a plan that no subscription of theirs is for is their own: the directory may give any."""
    if plan == FREE or merges.current(session, user_id) == user_id:
        return True
    # Of whoever was merged any other plan was sold with a subscription that is somebody else's by now.
    account = accounts.show_account(session, user_id)
    return account is None or plan == account.original_plan


def _revoked(session: Session, rolled: RolledOver, change: ChangeContext) -> list[str]:
    pack = rolled.pack
    if pack.expires_at <= change.now:
        return []
    done = top_ups.revoke_locked(session, pack, change)
    return [f"{-done.moved} {pack.kind} that rolled over are taken back: not all of their period is paid for."]


def _restored(session: Session, rolled: RolledOver, change: ChangeContext) -> list[str]:
    pack = rolled.pack
    if pack.expires_at >= rolled.until or rolled.until <= change.now:
        return []
    if (back := facts.revoked(session, pack, actor=ACTOR)) <= 0:
        return []
    top_ups.restore(session, pack, back, rolled.until, change)
    return [f"{back} {pack.kind} that rolled over are put back: their period is paid for after all."]


def _histories(session: Session, user_id: str) -> list[History]:
    # What an open dispute does is of no account here: a payment is one until it is lost.
    return histories(facts.of_user(session, user_id))


def _paid_spans(plan: str, known: Iterable[History], plans: Catalogue) -> Iterator[Period]:
    for history in known:
        if history.grants:
            yield from (each.period for each in paid_coverages(history, plans) if each.plan.name == plan)
