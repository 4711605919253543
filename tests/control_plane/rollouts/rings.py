"""A flag whose own rollout opens three environments and then production, and rollouts of single ones beside it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import Exposure
from control_plane.change_context import ChangeContext
from control_plane.core.phase_gates import PhaseGates
from control_plane.core.phases import Phase, Plan, Rollout
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.platform.db.database import read_only, transaction
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import EvaluationContext
from flags.snapshot import SNAPSHOTS

FLAG, STAGING = "SEARCH", "SEARCH@staging"
OTHERS = ("development", "production", "canary")


def phase(audience: str, *steps: int, gates: PhaseGates | None = None, named: tuple[str, ...] = ()) -> Phase:
    """Return a phase of this audience that may be left at once."""
    made = Phase(audience, audience, audience, steps, timedelta(0), environments=named)
    return replace(made, gates=gates) if gates else made


def plan_of(environment: str, now: datetime, *steps: int, gates: PhaseGates | None = None) -> Plan:
    """Return a plan of one environment: everyone there, by these steps."""
    return Plan((phase(AudienceKind.EVERYONE, *steps, gates=gates),), now, environment=environment)


def do(use_case: Callable[..., Decision], name: str, *arguments: object, **options: object) -> Decision:
    """Decide in a transaction of its own."""
    with transaction() as session:
        return use_case(session, name, *arguments, **options)


def find(name: str) -> Rollout:
    """Return the rollout as it is stored."""
    with read_only() as session:
        return rollouts.find(session, name)


def made(name: str, now: datetime, change: ChangeContext, *steps: int, gates: PhaseGates | None = None) -> Rollout:
    """Return a new rollout, whoever loses the flag by it."""
    plan = plan_of(name.partition("@")[2], now, *steps, gates=gates)
    decision = do(rollouts.plan, name, plan, change, confirm_losing=True)
    assert isinstance(decision, Transition), decision
    return decision.after


def codes(decision: Decision) -> set[str]:
    """Return the codes of the reasons why it was refused."""
    assert isinstance(decision, Refusal), decision
    return {reason.code for reason in decision.reasons}


def served(environment: str) -> Exposure:
    """Return the flag's exposure there, as evaluations know it."""
    with read_only() as session:
        return SNAPSHOTS.get().current(session, environment).find(FLAG).exposure


def has(environment: str, now: datetime) -> bool:
    """Return whether some user has the flag there while the guard watches."""
    with read_only() as session:
        flag = replace(SNAPSHOTS.get().current(session, environment).find(FLAG), guard_expires_at=None)
        return evaluate(flag, EvaluationContext("u1"), now).value
