"""What the flags have against a plan: steps that would take the flag from somebody, and what SDKs can't tell apart.

Both are refused when a rollout is planned; that users lose the flag may be confirmed, there and at the step itself.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy.orm import Session

from control_plane.core.phases import Plan, exposure_at, positions
from control_plane.core.transitions import LOSES_USERS, Action, Reason
from control_plane.platform.problems import Problem
from control_plane.rollout_names import flag_of
from control_plane.rollouts import RolloutChanged
from control_plane.rollouts import store as rollout_store
from flags.administration.losses import losing_steps
from flags.evaluation.conditions import wire_constraints
from flags.store.definitions import definitions_of
from flags.unleash.canonical.constraints import canonical_constraint
from flags.unleash.canonical.issues import Issues
from flags.unleash.compiler import conflicting_key


def plan_reasons(session: Session, key: str, plan: Plan) -> list[Reason]:
    """Return everything that the flags have against this plan for this flag."""
    reasons = [Reason(LOSES_USERS, sentence) for sentence in losing_steps(flag_of(key), plan)]
    reasons += [Reason("FLAG_EXISTS", sentence) for sentence in definition_conflicts(session, key)]
    reasons += [Reason("CONSTRAINT_INVALID", sentence) for sentence in unreadable_constraints(plan)]
    others = {flag_of(name) for name in rollout_store.names(session)}
    return reasons + [Reason("SEGMENT_IDS_CONFLICT", each) for each in segment_conflicts(flag_of(key), others)]


def definition_conflicts(session: Session, key: str) -> Iterator[str]:
    """Say where a flag of that name is defined without a rollout: its strategies would silently count no more."""
    if environments := sorted(definitions_of(session, key)):
        yield (
            f"{key} is a flag without a rollout already, in {', '.join(environments)}. Delete that one first, or "
            "choose another name: under a rollout its strategies no longer count."
        )


def refuse_defined(session: Session, changed: RolloutChanged) -> None:
    """Raise Problem where a flag was defined at the same moment as it was planned: see `refuse_planned`."""
    if changed.action is Action.PLAN:
        for sentence in definition_conflicts(session, changed.after.flag):
            raise Problem(409, "FLAG_EXISTS", sentence)


def unreadable_constraints(plan: Plan) -> Iterator[str]:
    """Name each condition on customers that the engines under the SDKs would read differently, and why."""
    for share in exposure_at(plan, positions(plan)[-1], plan.environment).shares:
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
