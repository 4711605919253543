"""Whom other plans would have refused, what would have rolled over, and what becomes of those who have one now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.rollovers import rolled_over, with_seats
from credits_engine.store import plan_users, plan_versions, rollovers
from credits_engine.store.plan_users import PlanUsers

PREVIEWED = timedelta(days=30)
ROLLED_OVER = timedelta(days=31)
"""Everybody had a period that ended in so many days."""
USERS_MAX = 50


@dataclass(frozen=True, slots=True)
class Refusals:
    """Whom a version would have refused: of the operations of the last days that v2 allowed, and their first users."""

    operations: int
    users: int
    first_users: tuple[str, ...]


def refusals(session: Session, versions: Sequence[PlanVersion], now: datetime) -> dict[str, Refusals]:
    """Return whom these versions would have refused by what they grant; packs are left out of account."""
    by_name = {name: each for each in versions for name in _names(each.plan)}
    operations: Counter[str] = Counter()
    users: dict[str, dict[str, None]] = {}
    for user_id, plan, used, requested, _ in plan_versions.allowed_since(session, by_name, now - PREVIEWED):
        version = by_name.get(plan) or by_name[CATALOGUE.plan(plan).base_name]
        seats = 1 if plan in by_name else CATALOGUE.plan(plan).seats
        limits = version.v2(KINDS)
        if any(
            limit is not None and amount and before + amount > limit * seats
            for before, amount, limit in zip(_padded(used), _padded(requested), limits.figures, strict=True)
        ):
            operations[version.plan] += 1
            users.setdefault(version.plan, {})[user_id] = None
    return {
        each.plan: Refusals(
            operations[each.plan], len(users.get(each.plan, ())), tuple(users.get(each.plan, ()))[:USERS_MAX]
        )
        for each in versions
    }


@dataclass(frozen=True, slots=True)
class RolloverPreview:
    """What more would have rolled over from the periods of the last days, were each of them whole and paid."""

    periods: int
    users: int
    more: Amounts


def rollover_previews(session: Session, versions: Sequence[PlanVersion], now: datetime) -> dict[str, RolloverPreview]:
    """Return by plan what would have been granted besides, of versions that have rules of what rolls over."""
    return {each.plan: _rollover_preview(session, each, now) for each in versions if each.rollovers is not None}


def _rollover_preview(session: Session, version: PlanVersion, now: datetime) -> RolloverPreview:
    users: set[str] = set()
    periods, more = 0, NOTHING
    for ended in rollovers.ended_since(session, _names(version.plan), now - ROLLED_OVER, now):
        rules = with_seats(version.rollovers or {}, CATALOGUE.plan(ended.plan).seats)
        change = rolled_over(rules, ended.granted, ended.used) - ended.rolled
        more += change
        periods += 1
        users.update([ended.user_id] if change != NOTHING else [])
    return RolloverPreview(periods, len(users), more)


def users_of(session: Session, versions: Sequence[PlanVersion], now: datetime) -> dict[str, PlanUsers]:
    """Return by plan who has it now, and whose periods run on with the limits that they were opened with."""
    return {each.plan: plan_users.count(session, _names(each.plan), now) for each in versions}


def _names(plan: str) -> tuple[str, ...]:
    return (plan, *next((each.aliases for each in CATALOGUE.built_in if each.name == plan), ()))


def _padded(amounts: Amounts) -> tuple[int, ...]:
    return (*amounts.figures, *(0 for _ in KINDS[len(amounts.figures) :]))
