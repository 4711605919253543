"""What a period left unused moves into packs in the transaction that opens the next one, so it moves once.

The credits leave the period: its limits are lowered by as much. Whoever still spends in it, because they waited for its
lock or their clock is behind, finds what is left of it, and the rest in the pack.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.rollovers import is_whole, last_end, raised, rolled_over
from credits_engine.store import books, rollovers
from credits_engine.store.books import CounterRow
from credits_engine.store.rollovers import Unused

SYSTEM = "credits"

PlanCheck = Callable[[Session, str, CounterRow], bool]
"""Whether a user's period had one plan though its limits changed: what was told late may have changed them."""


@dataclass(frozen=True, slots=True)
class PeriodTurn:
    """A user's locked period that ended, and the one that is opened, with the anchor that this is counted from."""

    user_id: str
    ended: CounterRow
    opened: Period
    anchor: datetime | None

    @property
    def unused(self) -> Amounts:
        """The amounts that roll over by the rules; nothing of a period that was cut short, or is not right before."""
        period = self.ended.period
        if period.end != self.opened.start or not is_whole(period):
            return NOTHING
        rules = CATALOGUE.plan(self.ended.plan).rollovers_of(period.start)
        return rolled_over(rules, self.ended.limits, self.ended.used)


def lock_ended(session: Session, user_ids: Sequence[str], now: datetime) -> dict[str, CounterRow]:
    """Lock the last periods of these users that may roll over; call it before their openings are locked."""
    plans = CATALOGUE.rolling_plans
    return rollovers.lock_ended(session, user_ids, plans, now) if plans else {}


def moved_from(session: Session, user_id: str, row: CounterRow) -> Amounts:
    """Return what a locked period lacks because it has rolled over, as it has for whoever's clock is behind.

    Of a period with the limits that its plan has now nothing can have.
    """
    plan = CATALOGUE.plan(row.plan)
    if row.limits == plan.v2 or not plan.rollovers_of(row.period.start):
        return NOTHING
    return rollovers.moved_from(session, user_id, row.period.start)


def change_limits(session: Session, user_id: str, period: Period, plan: CreditPlan) -> None:
    """Give a period the limits of another plan, without what has rolled over from it; what was used stays used."""
    moved = rollovers.moved_from(session, user_id, period.start)
    books.change_limits(session, user_id, period, plan.name, raised(plan.v2, -moved))


def never_late(_session: Session, _user_id: str, _ended: CounterRow) -> bool:
    """Return false: nothing is told late where nobody tells anything."""
    return False


def roll_over(
    session: Session, turns: Iterable[PeriodTurn], now: datetime, *, had_one_plan: PlanCheck = never_late
) -> set[str]:
    """Move what these periods left unused; returns the users who have anything of it."""
    found = {(turn.user_id, turn.ended.period.start): turn for turn in turns if turn.unused != NOTHING}
    if not found:
        return set()
    done, changed = (query(session, list(found)) for query in (rollovers.has_rolled, rollovers.changed_plan))
    moved = [
        turn
        for key, turn in found.items()
        if key not in done and (key not in changed or had_one_plan(session, turn.user_id, turn.ended))
    ]
    lowered = [replace(turn.ended, limits=raised(turn.ended.limits, -turn.unused)) for turn in moved]
    left = zip(moved, lowered, strict=True)
    rollovers.lower_limits(session, {(turn.user_id, row.period.start): row.limits for turn, row in left})
    unused = [each for turn, row in zip(moved, lowered, strict=True) for each in _by_kind(turn, row)]
    rollovers.add_each(session, unused, now, actor=SYSTEM)
    return {turn.user_id for turn in moved}


def _by_kind(turn: PeriodTurn, lowered: CounterRow) -> Iterator[Unused]:
    rules = CATALOGUE.plan(lowered.plan).rollovers_of(lowered.period.start)
    for kind, amount in turn.unused.items():
        if amount:
            until = last_end(turn.opened, turn.anchor, rules[kind].periods)
            yield Unused(turn.user_id, lowered, kind, amount, until)
