"""An advance is tied to the evidence of the migration: whom v2 would refuse next, and whether the comparison is sound.

The leader looks at the whole directory whenever the rollout has moved, and every hour. Where nobody has looked yet, a
small directory is looked at by whoever asks; of a large one nothing is known until the leader has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import sleep

from flask import Flask
from sqlalchemy.orm import Session

from control_plane import store as rollout_store
from control_plane.gates import GateResult, GateStatus
from control_plane.phases import FLAG, PRODUCTION, Exposure, Rollout, RolloutState, exposure_at, position_after
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current
from credits_engine.engines.aa_test import AATest
from credits_engine.engines.advance_check import AdvanceCheck, gate_result
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.switch_preview import answer_diffs
from credits_engine.migration.aa_test import OPERATIONS_DEFAULT, run_aa_test
from credits_engine.operations import account_books
from credits_engine.store import advance_checks as store
from credits_engine.store import switch_preview
from credits_engine.store.accounts import Account
from credits_engine.store.switch_preview import DirectoryAccount
from flags.evaluation.evaluator import EvaluationContext, evaluate
from flags.snapshot import rollout_flag
from flags.store import beta_members

GATE = "migration"
LOOK_SECONDS = 15.0
EVERY, FRESH = timedelta(hours=1), timedelta(hours=24)
PAGE, REST_SECONDS = 50, 0.05
"""A page takes 4 ms of CPU and more while others are served, so requests that are answered meanwhile hardly notice."""
AT_ONCE_PAGE = 200
AT_ONCE_USERS, AT_ONCE_OPERATIONS = 10_000, 200
"""What whoever asks looks at, where the leader has not looked yet."""

Enters = Callable[[Account], bool]


def gate(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Closed while the next step would have v2 refuse too many, or the comparison contradicts itself."""
    here, there = _exposures(rollout)
    if rollout.flag != FLAG:
        return GateResult(GATE, GateStatus.OPEN, "This flag decides about nobody's credits.")
    if there is None or there == here:
        return GateResult(GATE, GateStatus.OPEN, "The next step lets nobody in whose credits would be judged anew.")
    found = store.latest(session, rollout.flag, rollout.version)
    looked_at_once = found is None or not timedelta() <= now - found.at <= FRESH
    if looked_at_once:
        found = examine(session, rollout, now=now)
    if found is None:
        reason = "Nobody has looked yet whom v2 would refuse; the leader does after each step, 50,000 users a minute."
        return GateResult(GATE, GateStatus.UNKNOWN, reason)
    percent_max, beyond = current().advance_max_refused_percent, _widens_beyond_allowlist(here, there)
    status, reason = gate_result(found, percent_max=percent_max, beyond_allowlist=beyond)
    # An instant that moves with each look would have every open page drawn again each second.
    since = {"examined_at": "now"} if looked_at_once else {}
    return GateResult(GATE, status, reason, found.documented | since | {"refused_percent_max": percent_max})


def examine(session: Session, rollout: Rollout, *, now: datetime) -> AdvanceCheck | None:
    """Examine the next step now; return None where the directory is too large for that."""
    enters, census, after = _audience_entered(session, rollout, now), _ImpactScan(), ""
    while page := switch_preview.page(session, after, now=now, most=AT_ONCE_PAGE):
        census.take(page, enters, now)
        if census.users > AT_ONCE_USERS:
            return None
        after = page[-1].account.user_id
    return census.result(rollout, run_aa_test(session, most=AT_ONCE_OPERATIONS, since=rollout.entered_at), now)


def refresh(
    now: datetime,
    *,
    every: timedelta = EVERY,
    operations: int = OPERATIONS_DEFAULT,
    rest: Callable[[], None] = lambda: sleep(REST_SECONDS),
) -> AdvanceCheck | None:
    """Examine at leisure and remember, if the rollout has moved or the last look is `every` ago; None if neither.

    After each page of users it takes a `rest`, with no transaction open, so that a large directory hinders nobody.
    """
    with read_only() as session:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None or not _is_due(session, rollout, now, every):
            return None
        enters = _audience_entered(session, rollout, now)
        aa_test = run_aa_test(session, most=operations, since=rollout.entered_at)
    census, after = _ImpactScan(), ""
    while page := _page(after, now):
        census.take(page, enters, now)
        after = page[-1].account.user_id
        rest()
    found = census.result(rollout, aa_test, now)
    with transaction() as session:
        store.add(session, FLAG, found)
    return found


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


def init_app(app: Flask) -> None:
    """Put the examination of the next step on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "examine-next-step", _refresh)


def _refresh(now: datetime, _term: int) -> None:
    refresh(now)


def _is_due(session: Session, rollout: Rollout, now: datetime, every: timedelta) -> bool:
    here, there = _exposures(rollout)
    if there is None or there == here:
        return False
    last = store.latest(session, rollout.flag, rollout.version)
    return last is None or not timedelta() <= now - last.at < every


def _exposures(rollout: Rollout) -> tuple[Exposure, Exposure | None]:
    """Return the exposures of this step and the next in production, rolled back or not; None behind the last step."""
    here, there = (
        None if position is None else exposure_at(rollout.plan, position, PRODUCTION)
        for position in (rollout.position, position_after(rollout.plan, rollout.position))
    )
    assert here is not None
    return here, there


def _widens_beyond_allowlist(here: Exposure, there: Exposure) -> bool:
    return replace(here, allowlist=True, environment=True) != replace(there, allowlist=True, environment=True)


def _audience_entered(session: Session, rollout: Rollout, now: datetime) -> Enters:
    """Return a test whether a user is off in this step and on in the next one, in production and under a guard."""
    here, there = _exposures(rollout)
    assert there is not None
    running, beta = replace(rollout, state=RolloutState.RUNNING), beta_members(session)
    flag = rollout_flag(session, running, PRODUCTION, revision=0, beta=beta, override=None)
    closed, opened = (replace(flag, exposure=each, guard_expires_at=None) for each in (here, there))

    def enters(account: Account) -> bool:
        context = EvaluationContext(account.user_id, account.signed_up_at, account.plan)
        return evaluate(opened, context, now).value and not evaluate(closed, context, now).value

    return enters


def _is_refused(standing: DirectoryAccount, now: datetime) -> bool:
    try:
        both = account_books.books_at(standing, now)
    except UnknownPlanError:
        return False  # neither engine judges such a user; `verify` names the plan
    account = standing.account
    return any(flip.refused for flip in answer_diffs(account.user_id, account.plan, both.of, serving=EngineName.LEGACY))
