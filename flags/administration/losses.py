"""Count who would lose a flag by a step of its rollout, for the person who has to confirm it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.phases import PRE_PRODUCTION, PRODUCTION, Position, Rollout, exposure_at
from control_plane.transitions import Loss
from flags import store
from flags.client_features.user_directory import USERS_MAX
from flags.evaluation.contexts import KnownAttributes, known_context
from flags.evaluation.evaluator import evaluate
from flags.evaluation.monotonicity import violations
from flags.evaluation.rollout_flag import RolloutFlag
from flags.snapshot import rollout_flag


def loss(session: Session, rollout: Rollout, position: Position, now: datetime) -> Loss | None:
    """Return the cohorts that lose by going to `position` and how many users of the directory; None if none can.

    The directory is read only if the proof fails for production: a million users take some seconds then.
    """
    named = {name for phase in rollout.plan.phases for name in phase.environments}
    sentences, users = [], 0
    for environment in sorted({PRODUCTION, *PRE_PRODUCTION, *named}):
        before = _flag(session, rollout, environment)
        after = replace(before, exposure=exposure_at(rollout.plan, position, environment))
        found = violations(before, after, now=now)
        sentences += found
        if found and environment == PRODUCTION:
            users = _count(session, before, after, now)
    return Loss(tuple(sentences), users) if sentences else None


def _flag(session: Session, rollout: Rollout, environment: str) -> RolloutFlag:
    """The flag as it is there while the guard watches, whatever this process's own environment says."""
    beta = store.beta_members(session) if environment == PRODUCTION else frozenset()
    flag = rollout_flag(session, rollout, environment, revision=0, beta=beta, override=None)
    return replace(flag, guard_expires_at=None)


def _count(session: Session, before: RolloutFlag, after: RolloutFlag, now: datetime) -> int:
    contexts = (
        known_context(user.user_id, KnownAttributes(user.plan, user.signed_up_at, user.beta))
        for user in store.users(session, None, limit=USERS_MAX)
    )
    return sum(evaluate(before, each, now).value and not evaluate(after, each, now).value for each in contexts)
