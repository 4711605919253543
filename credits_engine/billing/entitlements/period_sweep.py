"""Changes by the clock: periods begin and entitlements expire, a bounded batch at each tick.

Nobody has to wait for it: an operation opens the period it needs. The sweep makes the tables say so too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing import metrics
from credits_engine.billing.entitlements import sync
from credits_engine.billing.entitlements.plan_of_prices import NOT_IN_CATALOGUE
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.store import accounts
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.store import period_openings

DUE_MAX = 100
PAGE = 1_000
PAGES = 5
"""A million users are gone round in seven minutes, of the fifteen after which a reset is late."""
TOGETHER = 250
"""Periods opened in one transaction; whoever wants to open theirs meanwhile waits for it."""
POSTPONE = timedelta(hours=1)

log = structlog.get_logger()


def sync_due(now: datetime) -> int:
    """Sync the users for whom something has fallen due, each in a transaction of their own; returns how many."""
    with read_only() as session:
        users = accounts.due(session, now=now, most=DUE_MAX)
    for user_id in users:
        try:
            with transaction() as session:
                sync_user(session, user_id, now=now)
        except NOT_IN_CATALOGUE as error:
            log.warning("billing.sweep_postponed", user=user_id, reason=str(error))
            # Put off, or the same users would fill every batch until the catalogue has the price or the plan.
            with transaction() as session:
                accounts.update_account(session, user_id, now=now, due_at=now + POSTPONE)
    return len(users)


def check_limits(now: datetime) -> list[str]:
    """Tell the guard which subscribers have the limits of a lower plan than theirs; a sync should have raised them.

    Higher ones are no mistake: a downgrade waits for the next period.
    """
    since = now - timedelta(seconds=metrics.plan_late_seconds())
    with read_only() as session:
        differing = accounts.differing_from_plan(session, now=now, since=since)
    behind = [user_id for user_id, plan, limited_as in differing if _is_behind(limited_as, plan)]
    metrics.report_behind(behind)
    return behind


@dataclass(slots=True)
class PeriodSweep:
    """Goes round the directory, some pages at a tick, and opens the running period of whoever has none."""

    after: str = ""

    def tick(self, now: datetime) -> int:
        """Look at the next pages, or at those until the directory ends; returns how many periods were opened."""
        opened = 0
        for _ in range(PAGES):
            opened += self._turn(now)
            if not self.after:
                break
        return opened

    def _turn(self, now: datetime) -> int:
        with read_only() as session:
            page = period_openings.without_period(session, after=self.after, now=now, page=PAGE)
        self.after = page.last  # already: a page that can't be opened must not keep those after it waiting
        return sum(_open(page.users[start : start + TOGETHER], now) for start in range(0, len(page.users), TOGETHER))


def _open(users: Sequence[str], now: datetime) -> int:
    with transaction() as session:
        done = sync.open_running(session, users, now)
    for user_id, error in done.refused.items():
        log.warning("billing.roll_refused", user=user_id, reason=str(error))
    return len(done.openings)


def _is_behind(limited_as: str, plan: str) -> bool:
    try:
        return CATALOGUE.is_upgrade(CATALOGUE.plan(limited_as), CATALOGUE.plan(plan))
    except UnknownPlanError:
        return False  # operations refuse such a plan with a sentence of their own
