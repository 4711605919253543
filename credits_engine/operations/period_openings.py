"""Periods opened for many users in one transaction: what the first operation of each would have done for itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.engines.periods import Period, calendar_month, fitted, period_at
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.operations.rollovers import PeriodTurn, PlanCheck, lock_ended, never_late, roll_over
from credits_engine.store import period_openings


@dataclass(frozen=True, slots=True)
class OpenedPeriod:
    """A period that was opened, and when the one before it ended; None for a user's first."""

    user_id: str
    period: Period
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenedPeriods:
    """The periods opened, and why the other users without one were refused."""

    openings: list[OpenedPeriod] = field(default_factory=list)
    refused: dict[str, UnknownPlanError] = field(default_factory=dict)
    rolled_over: set[str] = field(default_factory=set)
    """The users whose period before left anything that can be spent from now on."""


def open_missing_periods(
    session: Session, user_ids: Sequence[str], now: datetime, *, had_one_plan: PlanCheck = never_late
) -> OpenedPeriods:
    """Open the running period of each of `user_ids` who has none, with nothing used; who has one is left alone.

    `user_ids` are in the directory's order. A user on a plan that the catalogue lacks does not hold up the others.
    """
    done, rows, turns = OpenedPeriods(), [], []
    ended = lock_ended(session, user_ids, now)
    for user in period_openings.lock_missing(session, user_ids, now):
        try:
            plan = CATALOGUE.plan(user.plan)
        # One user on a plan that was taken out of the catalogue must not keep the periods of all others closed.
        except UnknownPlanError as error:
            done.refused[user.user_id] = error
            continue
        period = fitted(period_at(user.billing_anchor, now), not_before=user.ended_at, not_after=user.next_starts_at)
        rows.append((user.user_id, period, plan))
        done.openings.append(OpenedPeriod(user.user_id, period, user.ended_at))
        if last := ended.get(user.user_id):
            turns.append(PeriodTurn(user.user_id, last, period, user.billing_anchor))
    period_openings.open_each(session, rows, calendar_month(now))
    done.rolled_over.update(roll_over(session, turns, now, had_one_plan=had_one_plan))
    return done
