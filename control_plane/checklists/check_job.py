"""The leader's look at every check that a plan names, from which pages and the gate read."""

from datetime import datetime, timedelta

import structlog
from flask import Flask

from control_plane.checklists import checks, store
from control_plane.core.checklist import CheckResult, StoredResult, unknown
from control_plane.core.phases import Rollout
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.time_limit import TimeLimit
from control_plane.rollouts import store as rollout_store

CHECK_SECONDS = 20.0
KEPT = timedelta(minutes=5)
"""For how long after its next time an answer is believed: an older one says that nobody looks any more."""

LIMIT_SECONDS = 10.0
LIMIT = AppState[TimeLimit]("check_limit", lambda: TimeLimit(LIMIT_SECONDS))

log = structlog.get_logger()


def refresh(now: datetime) -> None:
    """Run every check that is due, of every plan, and store what was found."""
    with read_only() as session:
        rollouts = [each for each in rollout_store.load_all(session) if each.plan.checklists]
        known = {each.flag: store.results(session, each.flag) for each in rollouts}
    for rollout in rollouts:
        found = {name: _result(rollout, name, known[rollout.flag].get(name), now) for name in _names(rollout)}
        with transaction() as session:
            store.replace_results(session, rollout.flag, found)


def init_app(app: Flask) -> None:
    """Put the checks on the leader's schedule."""
    jobs.run_on_leader(app, CHECK_SECONDS, "run-checks", refresh)


def _names(rollout: Rollout) -> list[str]:
    items = (item for checklist in rollout.plan.checklists for item in checklist.items)
    return sorted({item.check for item in items if item.check})


def _result(rollout: Rollout, name: str, stored: StoredResult | None, now: datetime) -> StoredResult:
    every = checks.every(name)
    if stored and timedelta() <= now - stored.at < every - timedelta(seconds=CHECK_SECONDS):
        return stored
    return StoredResult(_run(rollout, name, now), now, now + every + KEPT)


def _run(rollout: Rollout, name: str, now: datetime) -> CheckResult:
    """Run one check in a transaction of its own; one that breaks or hangs can't tell, and leaves the others alone."""

    def work() -> CheckResult:
        with read_only() as session:
            return checks.run(session, rollout, name, now)

    limit = LIMIT.get()
    try:
        return limit.run((rollout.flag, name), work)
    except TimeoutError:
        log.warning("checklist.check_hangs", check=name, flag=rollout.flag)
        return unknown(f"The check gave no answer within {limit.seconds:g} seconds.")
    except Exception as error:  # in an outage nothing is stored either, so the last answers stay
        log.exception("checklist.check_failed", check=name, flag=rollout.flag)
        return unknown(f"The check broke ({type(error).__name__}); the log has more.")
