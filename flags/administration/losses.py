"""Say who would lose a flag by a step: the cohorts by a proof, their number for the person who has to confirm it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.phases import Plan, Rollout, environments_of, exposure_at, exposures, positions
from control_plane.core.transitions import Loss
from control_plane.rollout_names import flag_of
from flags import store
from flags.client_features.user_directory import USERS_MAX
from flags.evaluation.contexts import KnownAttributes, known_context
from flags.evaluation.evaluator import evaluate
from flags.evaluation.monotonicity import violations
from flags.evaluation.rollout_flag import RolloutFlag
from flags.snapshot import rollout_flag

ANY_INSTANT = datetime.min.replace(tzinfo=UTC)
"""Nobody is named in a plan and no lease ends in it, so the proof is the same at each instant."""


def losing_steps(key: str, plan: Plan) -> Iterator[str]:
    """Name each step that would take the flag from somebody who has it after the step before, and the cohort."""
    exposed = {environment: exposures(plan, environment) for environment in environments_of(plan)}
    for before, after in pairwise(positions(plan)):
        phase = plan.phases[after.phase]
        for environment, found in exposed.items():
            if found[before] == found[after]:
                continue
            here, there = (_flag(key, plan, environment, found[position]) for position in (before, after))
            for sentence in violations(here, there, now=ANY_INSTANT):
                yield f"{phase.title} at {phase.steps[after.step]} % would take {key} from users: {sentence}"


def loss(session: Session, before: Rollout, after: Rollout, now: datetime) -> Loss | None:
    """Return the cohorts that lose from `before` to `after` and how many users of the directory; None if none can.

    The directory is read only if the proof fails for production, or for the one environment that it is about: a million
    users take some seconds then.
    """
    sentences, users = [], 0
    counted = next((each.plan.environment for each in (before, after) if each.plan.is_of_one_environment), PRODUCTION)
    exposed = [each for each in environments_of(before.plan, after.plan) if not before.latched_in(each)]
    for environment in exposed:
        here, there = (
            _flag(flag_of(each.flag), each.plan, environment, exposure_at(each.plan, each.position, environment))
            for each in (before, after)
        )
        if after.latched_in(environment):  # as where a rollout of one environment is given back to the flag's own
            there = replace(there, exposure=Exposure())
        found = violations(here, there, now=now)
        sentences += found
        if found and environment == counted:
            users = _count(session, before, there, now)
    return Loss(tuple(sentences), users, environment=counted) if sentences else None


def _count(session: Session, rollout: Rollout, there: RolloutFlag, now: datetime) -> int:
    beta = store.beta_members(session)
    flag = rollout_flag(session, rollout, there.environment, revision=0, beta=beta, environment_switch=None)
    before = replace(flag, guard_expires_at=None)  # as it is while the guard watches
    after = replace(before, exposure=there.exposure, new_signups_after=there.new_signups_after)
    contexts = (
        known_context(user.user_id, KnownAttributes(user.plan, user.signed_up_at, user.beta))
        for user in store.users(session, None, limit=USERS_MAX)
    )
    return sum(evaluate(before, each, now).value and not evaluate(after, each, now).value for each in contexts)


def _flag(key: str, plan: Plan, environment: str, exposure: Exposure) -> RolloutFlag:
    """Return the flag as the plan has it there, with nobody named and no lease.

    That is enough for a proof that holds for all.
    """
    return RolloutFlag(
        key=key,
        environment=environment,
        revision=0,
        exposure=exposure,
        new_signups_after=plan.new_signups_after,
    )
