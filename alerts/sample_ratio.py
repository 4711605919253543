"""Check the sample ratio: of the users a percentage decides, that share has to be admitted.

A bucket that is computed wrongly, a process that serves an old step or a cohort that is routed twice shows here before
it shows anywhere else. Each user is one toss of a coin with the planned share, so the evidence is that of a mixture of
all other shares (uniform prior) against it. It holds: a wrong split makes every comparison worthless and harms nobody.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf, lgamma, log

from flask import Flask
from sqlalchemy.orm import Session

from alerts import store
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Decision
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import jobs
from control_plane.rollouts import sample_ratio
from control_plane.rollouts import store as rollout_store
from control_plane.rollouts.sample_ratio import SampleRatio

ACTOR = "guard"
SOURCE = "sample_ratio"
LOOK_SECONDS = 60.0
LOOKED_BACK = timedelta(hours=1)
SETTLED_AFTER = timedelta(seconds=10)
"""An operation that began before the step keeps its engine."""
MISMATCH_LOG_E = log(10_000)
"""A window of an hour holds wrongly one time in ten thousand, a step of two days one time in two hundred."""


def log_mismatch(split: SampleRatio) -> float:
    """ln E that the true share is not the planned one: a Beta(1, 1) mixture against it, two-sided."""
    inside, outside = split.inside, split.total - split.inside
    if split.share >= 1:
        return inf if outside else 0.0
    mixture = lgamma(inside + 1) + lgamma(outside + 1) - lgamma(split.total + 2)
    return mixture - inside * log(split.share) - outside * log(1 - split.share)


def enforce(session: Session, rollout: Rollout, split: SampleRatio, *, now: datetime) -> Decision | None:
    """Hold `rollout` if its split is not the plan's and nobody has resumed it since; None where it stays as it is."""
    log_e = log_mismatch(split)
    if log_e < MISMATCH_LOG_E or store.was_held_for(session, rollout.flag, SOURCE, since=rollout.entered_at):
        return None
    observed = split.inside / split.total
    evidence: Mapping[str, object] = {
        "source": SOURCE,
        "bad": split.inside,
        "total": split.total,
        "rate": observed,
        "threshold": split.share,
        "evidence_log10": min(log_e, 700.0) / log(10),
    }
    reason = (
        f"Exposure is not what the plan says: {split.inside:,} of {split.total:,} users were let in ({observed:.1%}), "
        f"the step asks for {split.share:.0%}."
    )
    return rollouts.hold(session, rollout.flag, ChangeContext(now, ACTOR, reason, evidence=evidence))


def check(now: datetime) -> None:
    """Count and hold. Counting reads an hour of operations, so it is done outside the guard's tick."""
    with read_only() as session:
        counted = [(rollout, _split(session, rollout, now)) for rollout in rollout_store.load_all(session)]
    for rollout, split in counted:
        if split is not None and split.total and log_mismatch(split) >= MISMATCH_LOG_E:
            with transaction() as session:
                enforce(session, rollout, split, now=now)


def init_app(app: Flask) -> None:
    """Put the check on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "sample-ratio", check)


def _split(session: Session, rollout: Rollout, now: datetime) -> SampleRatio | None:
    since = max(rollout.entered_at + SETTLED_AFTER, now - LOOKED_BACK)
    if rollout.state is not RolloutState.RUNNING or now <= since:
        return None
    return sample_ratio.current_ratio(session, rollout, since)
