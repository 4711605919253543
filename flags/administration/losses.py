"""Count who would lose a flag by a step of its rollout, for the person who has to confirm it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.phases import PRE_PRODUCTION, PRODUCTION, Exposure, Position, Rollout
from control_plane.transitions import Loss
from flags import store
from flags.administration.plan_checks import flag_at
from flags.client_features.user_directory import USERS_MAX
from flags.evaluation.contexts import KnownAttributes, known_context
from flags.evaluation.evaluator import evaluate
from flags.evaluation.monotonicity import violations
from flags.snapshot import rollout_flag


def loss(session: Session, rollout: Rollout, position: Position, now: datetime) -> Loss | None:
    """Return the cohorts that lose by going to `position` and how many users of the directory; None if none can.

    The directory is read only if the proof fails for production: a million users take some seconds then.
    """
    named = {name for phase in rollout.plan.phases for name in phase.environments}
    sentences, users = [], 0
    for environment in sorted({PRODUCTION, *PRE_PRODUCTION, *named}):
        here, there = (flag_at(rollout.flag, rollout.plan, each, environment) for each in (rollout.position, position))
        found = violations(here, there, now=now)
        sentences += found
        if found and environment == PRODUCTION:
            users = _count(session, rollout, there.exposure, now)
    return Loss(tuple(sentences), users) if sentences else None


def _count(session: Session, rollout: Rollout, there: Exposure, now: datetime) -> int:
    beta = store.beta_members(session)
    flag = rollout_flag(session, rollout, PRODUCTION, revision=0, beta=beta, override=None)
    before = replace(flag, guard_expires_at=None)  # as it is while the guard watches
    after = replace(before, exposure=there)
    contexts = (
        known_context(user.user_id, KnownAttributes(user.plan, user.signed_up_at, user.beta))
        for user in store.users(session, None, limit=USERS_MAX)
    )
    return sum(evaluate(before, each, now).value and not evaluate(after, each, now).value for each in contexts)
