"""What a period left unused moves into packs in the transaction that opens the next one, so it moves once.

The credits leave the period: its limits are lowered by as much. Whoever still spends in it, because they waited for its
lock or their clock is behind, finds what is left of it, and the rest in the pack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.engines.amounts import NOTHING, Amounts, Kind
from credits_engine.engines.packs import Allocation
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import EntryType
from credits_engine.engines.rollovers import is_whole, last_end, raised, rolled_over
from credits_engine.store import journal, packs, rollovers
from credits_engine.store.books import CounterRow

SYSTEM = "credits"

MayRollOver = Callable[[Session, str, CounterRow], bool]
"""Whether a user's period may roll over that ran from its regular start to its regular end."""


def kept_one_plan(session: Session, user_id: str, ended: CounterRow) -> bool:
    """Return whether the period had one plan's limits from its start to its end."""
    return not rollovers.limits_changed(session, user_id, ended.period.start)


def lock_ended(session: Session, user_ids: Sequence[str], now: datetime) -> dict[str, CounterRow]:
    """Lock the last periods of these users that may roll over; call it before their openings are locked."""
    plans = CATALOGUE.rolling_plans
    return rollovers.lock_ended(session, user_ids, plans, now) if plans else {}


@dataclass(frozen=True, slots=True)
class NextPeriod:
    """The period of a user that is being opened, and the anchor that it is counted from."""

    user_id: str
    period: Period
    anchor: datetime | None


def roll_over(
    session: Session,
    ended: CounterRow | None,
    into: NextPeriod,
    now: datetime,
    *,
    may_roll_over: MayRollOver = kept_one_plan,
) -> bool:
    """Move what the locked period `ended` left unused; returns whether there was anything.

    A period that was cut short, by whatever, rolls nothing over.
    """
    if ended is None or ended.period.end != into.period.start or not is_whole(ended.period):
        return False
    rules = CATALOGUE.plan(ended.plan).rollovers_of(ended.period.start)
    amounts = rolled_over(rules, ended.limits, ended.used)
    if amounts == NOTHING or rollovers.has_rolled(session, into.user_id, ended.period.start):
        return False
    if not may_roll_over(session, into.user_id, ended):
        return False
    left = replace(ended, limits=raised(ended.limits, -amounts))
    rollovers.lower_limits(session, into.user_id, left.period, left.limits)
    for kind, amount in amounts.items():
        if amount:
            until = last_end(into.period, into.anchor, rules[kind].periods)
            _add_pack(session, into.user_id, left, Unused(kind, amount, until), now)
    return True


@dataclass(frozen=True, slots=True)
class Unused:
    """Credits of one kind that a period left unused, and until when they can be spent."""

    kind: Kind
    amount: int
    until: datetime


def _add_pack(session: Session, user_id: str, ended: CounterRow, unused: Unused, now: datetime) -> None:
    start, kind, amount, until = ended.period.start, unused.kind, unused.amount, unused.until
    pack_id = packs.add(session, user_id, kind, amount, bought_at=now, expires_at=until, rolled_from=start)
    reason = (
        f"{amount} {kind} were left unused at {ended.period.end:%Y-%m-%dT%H:%M:%SZ} "
        f"and can be spent until {until:%Y-%m-%dT%H:%M:%SZ}."
    )
    journal_id = journal.append(
        session,
        {
            "type": EntryType.ROLLOVER.value,
            "occurred_at": now,
            "user_id": user_id,
            "requested": Amounts(**{kind: amount}),
            "reason": reason,
            "actor": SYSTEM,
            "context": {"pack": pack_id, "expiresAt": until.isoformat(), "plan": ended.plan},
            "v2_period_start": start,
            "v2_period_end": ended.period.end,
            "v2_used": ended.used,
            "v2_limit": ended.limits,
        },
    )
    packs.move(session, user_id, journal_id, (Allocation(pack_id, kind, amount),))
