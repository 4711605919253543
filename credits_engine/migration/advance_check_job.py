"""The leader's examination of the next step, from which the migration's gate reads its answer.

It goes through the whole directory within seconds of each change of the rollout or of the directory, and every hour.
Where no leader runs, as in a rehearsal, whoever wants to advance calls `refresh` first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import sleep

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import jobs
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.aa_test import AATest
from credits_engine.engines.advance_check import AdvanceCheck
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.switch_preview import answer_diffs
from credits_engine.migration.aa_test import OPERATIONS_DEFAULT, run_aa_test
from credits_engine.migration.advance_gate import production_exposures
from credits_engine.operations import account_books, routing
from credits_engine.store import check_results as store
from credits_engine.store import switch_preview
from credits_engine.store.accounts import Account
from credits_engine.store.switch_preview import DirectoryAccount
from flags.evaluation.evaluator import evaluate
from flags.evaluation.monotonicity import is_superset_of
from flags.snapshot import rollout_flag
from flags.store import beta_members, directory_changed

CHECK_SECONDS = 5.0
EVERY = timedelta(hours=1)
PAUSE_PER_USER = timedelta(milliseconds=3)
"""After a change of the directory the next scan waits this long for each user of the last one, which took 1 ms each.

So 10,000 users are examined again half a minute after the last time, and of a million the leader doesn't do so all day.
"""
PAGE, REST_SECONDS = 50, 0.05
"""A page takes 4 ms of CPU and more while others are served, so requests that are answered meanwhile hardly notice."""

Enters = Callable[[Account], bool]


def refresh(
    now: datetime,
    *,
    every: timedelta = EVERY,
    operations: int = OPERATIONS_DEFAULT,
    rest: Callable[[], None] = lambda: sleep(REST_SECONDS),
) -> AdvanceCheck | None:
    """Examine the next step and store the result; return None if that is not due."""
    with read_only() as session:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None or not _is_due(session, rollout, now, every):
            return None
    found = examine(rollout, now, operations=operations, rest=rest)
    with transaction() as session:
        store.add_advance_check(session, FLAG, found)
    return found


def examine(
    rollout: Rollout,
    now: datetime,
    *,
    operations: int = OPERATIONS_DEFAULT,
    rest: Callable[[], None] = lambda: sleep(REST_SECONDS),
) -> AdvanceCheck:
    """Examine every user of the directory and the latest operations for the step that follows.

    After each page of users it takes a `rest`, with no transaction open, so that a large directory hinders nobody.
    """
    with read_only() as session:
        enters = _audience_entered(session, rollout, now)
        aa_test = run_aa_test(session, most=operations, since=rollout.entered_at)
    census, after = _ImpactScan(), ""
    while page := _page(after, now):
        census.take(page, enters, now)
        after = page[-1].account.user_id
        rest()
    return census.result(rollout, aa_test, now)


def init_app(app: Flask) -> None:
    """Give the leader its part in every advance."""
    jobs.run_on_leader(app, CHECK_SECONDS, "examine-next-step", refresh)


@dataclass(slots=True)
class _ImpactScan:
    """The number of users examined, admitted by the step, and refused by v2."""

    users: int = 0
    entering: int = 0
    refused: int = 0

    def take(self, page: Sequence[DirectoryAccount], enters: Enters, now: datetime) -> None:
        entrants = [each for each in page if enters(each.account)]
        self.users += len(page)
        self.entering += len(entrants)
        self.refused += sum(_is_refused(each, now) for each in entrants)

    def result(self, rollout: Rollout, aa_test: AATest, now: datetime) -> AdvanceCheck:
        return AdvanceCheck(
            at=now,
            version=rollout.version,
            users=self.users,
            entering=self.entering,
            refused=self.refused,
            operations=aa_test.operations,
            mismatches=len(aa_test.mismatches),
            unlike=len(aa_test.unlike),
        )


def _page(after: str, now: datetime) -> list[DirectoryAccount]:
    with read_only() as session:
        return switch_preview.page(session, after, now=now, most=PAGE)


def _is_due(session: Session, rollout: Rollout, now: datetime, every: timedelta) -> bool:
    """Return whether the rollout has moved, the directory has changed or the last result is `every` old."""
    here, there = production_exposures(rollout)
    if there is None or is_superset_of(here, there):
        return False
    last = store.latest_advance_check(session, rollout.flag, rollout.version)
    if last is None or not timedelta() <= now - last.at < every:
        return True
    rested = now - last.at >= min(last.users * PAUSE_PER_USER, every)
    return rested and directory_changed(session, since=last.at, users=last.users)


def _audience_entered(session: Session, rollout: Rollout, now: datetime) -> Enters:
    """Return a test whether a user is off in this step and on in the next one, in production and under a guard."""
    here, there = production_exposures(rollout)
    assert there is not None
    running, beta = replace(rollout, state=RolloutState.RUNNING), beta_members(session)
    flag = rollout_flag(session, running, PRODUCTION, revision=0, beta=beta, environment_switch=None)
    closed, opened = (replace(flag, exposure=each, guard_expires_at=None) for each in (here, there))

    def enters(account: Account) -> bool:
        context = routing.customer(account)
        return evaluate(opened, context, now).value and not evaluate(closed, context, now).value

    return enters


def _is_refused(found: DirectoryAccount, now: datetime) -> bool:
    try:
        loaded = account_books.books_at(found, now)
    except UnknownPlanError:
        return False  # neither engine judges such a user; `verify` names the plan
    account = found.account
    return any(
        flip.refused for flip in answer_diffs(account.user_id, account.plan, loaded.of, serving=EngineName.LEGACY)
    )
