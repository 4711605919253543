"""Say who gains and who loses a flag between two states of its rollout: parts of an exposure, and known users."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import Exposure
from control_plane.audiences.exposure_changes import ExposureChange, changes_between
from control_plane.core.phases import Rollout, environments_of, exposure
from control_plane.plans.previews import EnvironmentChange
from flags import store
from flags.client_features.user_directory import USERS_MAX
from flags.evaluation.contexts import KnownAttributes, known_context
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import EvaluationContext, RolloutFlag
from flags.snapshot import rollout_flag

Pair = tuple[RolloutFlag, RolloutFlag]


def changes(session: Session, before: Rollout | None, after: Rollout, now: datetime) -> list[EnvironmentChange]:
    """Compare the two in each environment in which somebody may gain or lose; without `before` nobody has the flag."""
    plans = [rollout.plan for rollout in (before, after) if rollout]
    pairs = {name: _pair(session, before, after, name) for name in environments_of(*plans)}
    gains = {name: tuple(each.gained for each in _between(*pair)) for name, pair in pairs.items()}
    losses = {name: tuple(each.lost for each in _between(*reversed(pair))) for name, pair in pairs.items()}
    differing = {name: pair for name, pair in pairs.items() if gains[name] or losses[name]}
    gaining, losing = _count(session, differing, now)
    return [EnvironmentChange(name, gains[name], losses[name], gaining[name], losing[name]) for name in differing]


def _pair(session: Session, before: Rollout | None, after: Rollout, environment: str) -> Pair:
    beta = store.beta_members(session)
    later = rollout_flag(session, after, environment, revision=0, beta=beta, environment_switch=None)
    later = replace(later, guard_expires_at=None, latched=None, exposure=exposure(after, environment))
    if before is None:
        return replace(later, exposure=Exposure()), later
    earlier = exposure(before, environment)
    return replace(later, exposure=earlier, new_signups_after=before.plan.new_signups_after), later


def _between(smaller: RolloutFlag, larger: RolloutFlag) -> Iterator[ExposureChange]:
    return changes_between(
        smaller.exposure,
        larger.exposure,
        cutover_of_smaller=smaller.new_signups_after,
        cutover_of_larger=larger.new_signups_after,
    )


def _count(session: Session, pairs: dict[str, Pair], now: datetime) -> tuple[Counter[str], Counter[str]]:
    """Count in one pass over the directory, and in none where nothing differs."""
    gaining, losing = Counter[str](), Counter[str]()
    users = store.users(session, None, limit=USERS_MAX) if pairs else ()
    for user in users:
        context = known_context(user.user_id, KnownAttributes(user.plan, user.signed_up_at, user.beta))
        for name, (before, after) in pairs.items():
            had, has = (_has(flag, context, now) for flag in (before, after))
            gaining[name] += has and not had
            losing[name] += had and not has
    return gaining, losing


def _has(flag: RolloutFlag, context: EvaluationContext, now: datetime) -> bool:
    return evaluate(flag, context, now).value
