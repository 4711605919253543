"""What the flags have against a plan: steps that would take the flag from somebody, and what SDKs can't tell apart.

Both are refused when a rollout is planned; that users lose the flag may be confirmed, there and at the step itself.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

from sqlalchemy.orm import Session

from control_plane import store as rollout_store
from control_plane.phases import PRE_PRODUCTION, PRODUCTION, Plan, Position, exposure_at, positions
from control_plane.transitions import LOSES_USERS, Reason
from flags.evaluation.conditions import wire_constraints
from flags.evaluation.monotonicity import violations
from flags.evaluation.rollout_flag import RolloutFlag
from flags.unleash.canonical.constraints import canonical_constraint
from flags.unleash.canonical.issues import Issues
from flags.unleash.compiler import conflicting_key

ANY_INSTANT = datetime.min.replace(tzinfo=UTC)
"""Nobody is named in a plan and no lease ends in it, so the proof is the same at each instant."""


def plan_reasons(session: Session, key: str, plan: Plan) -> list[Reason]:
    """Return everything that the flags have against this plan for this flag."""
    reasons = [Reason(LOSES_USERS, sentence) for sentence in losing_steps(key, plan)]
    reasons += [Reason("CONSTRAINT_INVALID", sentence) for sentence in unreadable_constraints(plan)]
    others = (rollout.flag for rollout in rollout_store.load_all(session))
    return reasons + [Reason("SEGMENT_IDS_CONFLICT", sentence) for sentence in segment_conflicts(key, others)]


def losing_steps(key: str, plan: Plan) -> Iterator[str]:
    """Name each step that would take the flag from somebody who has it after the step before, and the cohort."""
    named = {environment for phase in plan.phases for environment in phase.environments}
    for before, after in pairwise(positions(plan)):
        phase = plan.phases[after.phase]
        for environment in sorted({PRODUCTION, *PRE_PRODUCTION, *named}):
            here, there = (flag_at(key, plan, position, environment) for position in (before, after))
            for sentence in violations(here, there, now=ANY_INSTANT):
                yield f"{phase.title} at {phase.steps[after.step]} % would take {key} from users: {sentence}"


def unreadable_constraints(plan: Plan) -> Iterator[str]:
    """Name each condition on customers that the engines under the SDKs would read differently, and why."""
    for share in exposure_at(plan, positions(plan)[-1], PRODUCTION).shares:
        issues = Issues()
        for number, wire in enumerate(wire_constraints(share.constraints)):
            canonical_constraint(wire, f"constraint {number + 1}", issues)
        for issue in issues.mistakes or issues.repairs:
            yield f"Phase {share.phase!r}: {issue.field}: {issue.sentence}"


def segment_conflicts(key: str, others: Iterable[str]) -> Iterator[str]:
    """Name the other flag under a rollout whose lists of users SDKs would take for this one's."""
    if other := conflicting_key(key, others):
        yield (
            f"SDKs could not tell the user lists of {key} from those of {other}: both names lead to the same segment "
            "ids. Choose another name."
        )


def flag_at(key: str, plan: Plan, position: Position, environment: str) -> RolloutFlag:
    """The flag as the plan has it there, with nobody named and no lease: enough for a proof that holds for all."""
    return RolloutFlag(
        key=key,
        environment=environment,
        revision=0,
        exposure=exposure_at(plan, position, environment),
        new_signups_after=plan.new_signups_after,
    )
