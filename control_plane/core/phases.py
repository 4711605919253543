"""The rollout as data: a plan of phases, the position reached in it, and whom that position exposes.

Pure values, no clock and no I/O. `transitions.py` decides how one rollout becomes the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict

from control_plane.audiences.base import audience_kind, known_audience
from control_plane.audiences.constraint import Constraint
from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.checklist import Checklist
from control_plane.core.phase_gates import NO_GATES, AdvanceMode, OnBreach, PhaseGates, Schedule
from control_plane.core.value_types import Day, Duration, Instant, WholeNumber

PRE_PRODUCTION = ("development", "staging")


class RolloutState(StrEnum):
    """`held` keeps the exposure and refuses to advance; `rolled_back` is latched until it is re-armed."""

    RUNNING = "running"
    HELD = "held"
    ROLLED_BACK = "rolled_back"
    COMPLETE = "complete"


class FlagType(StrEnum):
    """What a flag is for, in Unleash's words."""

    RELEASE = "release"
    EXPERIMENT = "experiment"
    OPERATIONAL = "operational"
    KILL_SWITCH = "kill-switch"
    PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class Phase:
    """One audience, opened in ascending percentages; each step soaks before the next may follow.

    `audience` names a kind that is registered in `control_plane/audiences/`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    title: str
    audience: Annotated[str, AfterValidator(known_audience)]
    steps: tuple[WholeNumber, ...]
    soak: Duration
    environments: tuple[str, ...] = ()
    served_minimum: WholeNumber = 0
    """Answers of the candidate that the step must have served before it proves anything; 0 where none can be."""
    safety_risk: float | None = None
    """How likely a rate may be above its threshold, at most 20 %; None asks for anytime evidence of 95 %."""
    users_maximum: WholeNumber | None = None
    """Distinct users that the candidate may serve in one step before the guard holds; None for no such cap."""
    operations_maximum: WholeNumber | None = None
    credits_maximum: WholeNumber | None = None
    """Credits by which the candidate may charge differently in one step, over- and undercharged added up."""
    constraints: tuple[Constraint, ...] = ()
    """What a customer has to be, in a phase of attributes: every one of these."""
    segment: str = ""
    """Name of the segment whose conditions the constraints are, as they were when the plan was applied."""
    planned_start: Day | None = None
    """The day on which the phase should begin; later than that is late."""
    advance: AdvanceMode | Schedule = AdvanceMode.BY_HAND
    """How its steps are left: by a person, at local times, or by themselves. Never past a gate that is not open."""
    gates: PhaseGates = NO_GATES
    unknown_may_be_approved: bool = True
    """Whether a named person may pass a gate that can't tell yet."""
    on_breach: OnBreach = OnBreach.ROLL_BACK
    """What the guard does first about a breach that is the candidate's."""

    def days_late(self, begun: datetime) -> int:
        """Return how many whole days after its planned start it begins at `begun`; 0 where none is planned."""
        if self.planned_start is None:
            return 0
        return max(0, (begun - datetime.combine(self.planned_start, time(), UTC)).days)


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases in order, and what people call the flag by. `new_signups_after` is fixed, so nobody ages out of it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    phases: tuple[Phase, ...]
    new_signups_after: Instant
    checklists: tuple[Checklist, ...] = ()
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    type: FlagType = FlagType.RELEASE
    notify: tuple[str, ...] = ()
    """Names of targets that hear of this rollout besides those that hear of all."""
    contacts: tuple[str, ...] = ()
    """Whom to ask during the rollout, as people read it, like `Technical Lead: Development Team`."""
    environment: str = PRODUCTION
    """Whose users its audiences are. A plan of any other environment than production opens that one alone."""

    @property
    def is_of_one_environment(self) -> bool:
        return self.environment != PRODUCTION


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a plan: indexes into `plan.phases` and into that phase's `steps`."""

    phase: int
    step: int


LOWEST = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The single truth everyone reads. `version` grows by one at every change, `attempt` at every re-arming."""

    flag: str
    plan: Plan
    version: int
    attempt: int
    state: RolloutState
    position: Position
    entered_at: datetime
    state_changed_at: datetime
    state_reason: str
    held_by_guard: bool = False
    plan_version: int = 1
    """The number of the plan among all that the rollout has had."""
    archived_at: datetime | None = None
    stepped_back_at: datetime | None = None
    """When the guard last stepped back instead of rolling back."""
    latches_all: bool = False
    """Whether a rollback takes the flag from development and staging too."""
    completed_at: datetime | None = None
    """Since when everybody has the flag: a hold keeps it, and whatever takes the flag from somebody ends it."""

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    @property
    def phase(self) -> Phase:
        return self.plan.phases[self.position.phase]

    @property
    def percentage(self) -> int:
        return self.phase.steps[self.position.step]

    @property
    def latched(self) -> bool:
        return self.state is RolloutState.ROLLED_BACK

    def latched_in(self, environment: str) -> bool:
        """Return whether the rollback is in force there: in development and staging only if it was asked to be."""
        wide = self.latches_all or self.plan.is_of_one_environment
        return self.latched and (wide or environment not in PRE_PRODUCTION)

    def held_in(self, environment: str) -> bool:
        """Return whether a hold of the flag is in force there: like a rollback, not in development and staging."""
        return self.state is RolloutState.HELD and environment not in PRE_PRODUCTION


def new_rollout(flag: str, plan: Plan, *, now: datetime, reason: str) -> Rollout:
    """Return the first attempt of `flag`, at the plan's lowest step."""
    return Rollout(
        flag=flag,
        plan=plan,
        version=1,
        attempt=1,
        state=RolloutState.RUNNING,
        position=LOWEST,
        entered_at=now,
        state_changed_at=now,
        state_reason=reason,
    )


def exposure(rollout: Rollout, environment: str) -> Exposure:
    """Return the exposure in `environment`; empty while the rollout is rolled back there."""
    if rollout.latched_in(environment):
        return Exposure()
    return exposure_at(rollout.plan, rollout.position, environment)


def exposure_at(plan: Plan, position: Position, environment: str) -> Exposure:
    """Return the exposure at `position`: every finished phase in full, the current one up to its step."""
    reached = Exposure()
    if plan.is_of_one_environment and environment != plan.environment:
        return reached
    for index, phase in enumerate(plan.phases[: position.phase + 1]):
        percentage = phase.steps[position.step] if index == position.phase else phase.steps[-1]
        reached = _opened(plan, reached, phase, percentage, environment)
    return reached


def exposures(plan: Plan, environment: str) -> Mapping[Position, Exposure]:
    """Return the exposure at each position, lowest first: all of them for what the last one alone would cost."""
    if plan.is_of_one_environment and environment != plan.environment:
        return dict.fromkeys(positions(plan), Exposure())
    found, reached = {}, Exposure()
    for index, phase in enumerate(plan.phases):
        for step, percentage in enumerate(phase.steps):
            found[Position(index, step)] = opened = _opened(plan, reached, phase, percentage, environment)
        reached = opened
    return found


def _opened(plan: Plan, reached: Exposure, phase: Phase, percentage: int, environment: str) -> Exposure:
    # Where the plan's audiences come in, it is as in production, for which they were made.
    kind = audience_kind(phase.audience)
    at_home = environment == plan.environment and not kind.takes_environments
    return kind.open(reached, phase, percentage, PRODUCTION if at_home else environment)


def phase_names(plan: Plan, position: Position) -> dict[str, str]:
    """Name the phase that opens each kind of audience: the last one reached, else the first to come."""
    names: dict[str, str] = {}
    for index, phase in enumerate(plan.phases):
        if index <= position.phase or phase.audience not in names:
            names[phase.audience] = phase.name
    return names


def position_after(plan: Plan, position: Position) -> Position | None:
    """Return the next step, or the first step of the next phase; None after the last one."""
    if position.step + 1 < len(plan.phases[position.phase].steps):
        return Position(position.phase, position.step + 1)
    if position.phase + 1 < len(plan.phases):
        return Position(position.phase + 1, 0)
    return None


def position_before(plan: Plan, position: Position) -> Position | None:
    """Return the step before, or the last step of the phase before; None at the lowest one."""
    if position.step > 0:
        return Position(position.phase, position.step - 1)
    if position.phase > 0:
        return Position(position.phase - 1, len(plan.phases[position.phase - 1].steps) - 1)
    return None


def position_below(plan: Plan, position: Position) -> Position | None:
    """Return the highest position below that admits nobody who is not admitted now; None where there is none.

    It is the step before, unless a step of the plan takes the flag from users: back there they would have it again.
    """
    found = [exposures(plan, name) for name in environments_of(plan)]
    for each in reversed([lower for lower in positions(plan) if lower < position]):
        if not any(there[each].adds_somebody_to(there[position]) for there in found):
            return each
    return None


def environments_of(*plans: Plan) -> tuple[str, ...]:
    """Return every environment in which one of the plans may expose somebody.

    What a plan of one environment is compared with concerns that environment alone.
    """
    if environments := {plan.environment for plan in plans if plan.is_of_one_environment}:
        return tuple(sorted(environments))
    named = {name for plan in plans for phase in plan.phases for name in phase.environments}
    return tuple(sorted({PRODUCTION, *PRE_PRODUCTION, *named}))


def positions(plan: Plan) -> tuple[Position, ...]:
    """Return every position of the plan, lowest first."""
    return tuple(Position(p, s) for p, phase in enumerate(plan.phases) for s in range(len(phase.steps)))
