"""Transitions of a rollout: pure decisions that return a transition, or a refusal with every reason."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import trimmed
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Position, Rollout, RolloutState, position_after, position_before, position_below

LOSES_USERS = "STEP_LOSES_USERS"
RETURN_GAINS_USERS = "RETURN_GAINS_USERS"
"""The codes of refusals that a person may confirm away."""


class Action(StrEnum):
    """The actions on a rollout, by the names the audit trail uses."""

    PLAN = "plan"
    ADVANCE = "advance"
    STEP_BACK = "step_back"
    HOLD = "hold"
    RESUME = "resume"
    ROLL_BACK = "roll_back"
    REARM = "rearm"
    EDIT_PLAN = "edit_plan"
    ARCHIVE = "archive"
    REVIVE = "revive"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that stands in the way: a stable code and a sentence."""

    code: str
    sentence: str


LOST_RACE = Reason("VERSION_CONFLICT", "Somebody else changed the rollout at the same moment; look again.")


@dataclass(frozen=True, slots=True)
class Loss:
    """The cohorts from which a step takes the flag, as sentences, and how many `users` of production's directory."""

    cohorts: tuple[str, ...]
    users: int
    cause: str = "The next step"
    environment: str = PRODUCTION

    @property
    def reason(self) -> Reason:
        """The refusal of a change that nobody confirmed."""
        users = "1 known user" if self.users == 1 else f"{self.users:,} known users"
        sentence = f"{self.cause} takes the flag from {users} in {self.environment}: {' '.join(self.cohorts)}"
        return Reason(LOSES_USERS, f"{sentence} Confirm that users lose it if you want that.")

    @property
    def documented(self) -> dict[str, object]:
        """The figures, as the audit trail keeps them."""
        return {"users": self.users, "cohorts": list(self.cohorts)}


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that is allowed; the caller stores `after` if `before.version` is still current."""

    action: Action
    before: Rollout
    after: Rollout
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not allowed, with all its reasons at once."""

    action: Action
    reasons: tuple[Reason, ...]

    @property
    def sentence(self) -> str:
        return " ".join(reason.sentence for reason in self.reasons)


Decision = Transition | Refusal


def decide_advance(
    rollout: Rollout,
    gates: Iterable[GateResult],
    *,
    now: datetime,
    expected_version: int,
    approval: str = "",
    unconfirmed: Loss | None = None,
) -> Decision:
    """Decide the next step, or completion after the last one.

    `approval` opens unknown gates, never closed ones; `unconfirmed` is what users lose by it and nobody confirmed.
    """
    reasons = stale(rollout, expected_version) + _not_running(rollout)
    if unconfirmed:
        reasons.append(unconfirmed.reason)
    for gate in gates:
        reasons += closed_reasons([gate])
        if gate.status is GateStatus.UNKNOWN and not rollout.phase.unknown_may_be_approved:
            sentence = f"Gate {gate.name} can't tell yet, and the plan lets nobody pass it: {gate.reason}"
            reasons.append(Reason("GATE_UNKNOWN", sentence))
        elif gate.status is GateStatus.UNKNOWN and not approval.strip():
            reasons.append(Reason("GATE_UNKNOWN", f"Gate {gate.name} can't tell yet: {gate.reason}"))
    if reasons:
        return Refusal(Action.ADVANCE, tuple(reasons))
    next_position = position_after(rollout.plan, rollout.position)
    if next_position is None:
        why = "The last soak time is over."
        done = transition(Action.ADVANCE, rollout, why, now=now, state=RolloutState.COMPLETE)
        return replace(done, after=replace(done.after, completed_at=now))
    reason = approval.strip() or "Every gate is open."
    return transition(Action.ADVANCE, rollout, reason, now=now, position=next_position)


def decide_step_back(rollout: Rollout, *, now: datetime, expected_version: int, reason: str) -> Decision:
    """Decide one step down; those added last leave first."""
    reasons = stale(rollout, expected_version) + needs_reason(reason) + _latched(rollout)
    previous = position_below(rollout.plan, rollout.position)
    if position_before(rollout.plan, rollout.position) is None:
        reasons.append(Reason("AT_LOWEST_STEP", "The rollout is at its lowest step already."))
    elif previous is None:
        sentence = "Every step below lets in users who don't have the flag now; roll back instead."
        reasons.append(Reason("STEP_ADMITS_USERS", sentence))
    if reasons or previous is None:
        return Refusal(Action.STEP_BACK, tuple(reasons))
    # A step back reopens a completed rollout. A hold stays a hold: stepping back is no permission to advance again.
    state = RolloutState.RUNNING if rollout.state is RolloutState.COMPLETE else rollout.state
    return transition(Action.STEP_BACK, rollout, reason, now=now, position=previous, state=state)


def decide_hold(rollout: Rollout, *, now: datetime, reason: str, by_guard: bool = False) -> Decision:
    """Keep the exposure and refuse to advance. A person's hold is never weakened into the guard's."""
    reasons = needs_reason(reason) + _latched(rollout)
    # A person may take over the guard's hold, which then no longer ends by itself; every other second hold changes
    # nothing.
    if rollout.state is RolloutState.HELD and (by_guard or not rollout.held_by_guard):
        reasons.append(Reason("ALREADY_HELD", f"The rollout is held already: {rollout.state_reason}"))
    if reasons:
        return Refusal(Action.HOLD, tuple(reasons))
    held = transition(Action.HOLD, rollout, reason, now=now, state=RolloutState.HELD)
    return replace(held, after=replace(held.after, held_by_guard=by_guard))


def decide_resume(rollout: Rollout, *, now: datetime, reason: str, by_guard: bool = False) -> Decision:
    """End a hold. The guard ends only its own."""
    reasons = needs_reason(reason)
    if rollout.state is not RolloutState.HELD:
        reasons.append(Reason("NOT_HELD", f"The rollout is {rollout.state.replace('_', ' ')}, not held."))
    elif by_guard and not rollout.held_by_guard:
        reasons.append(Reason("HELD_BY_PERSON", "Only a person resumes this rollout."))
    if reasons:
        return Refusal(Action.RESUME, tuple(reasons))
    state = RolloutState.RUNNING if rollout.completed_at is None else RolloutState.COMPLETE
    return transition(Action.RESUME, rollout, reason, now=now, state=state)


def transition(
    action: Action,
    rollout: Rollout,
    reason: str,
    *,
    now: datetime,
    state: RolloutState | None = None,
    position: Position | None = None,
) -> Transition:
    """Return the rollout in another state or position, one version on."""
    after = replace(
        rollout,
        version=rollout.version + 1,
        attempt=rollout.attempt + (action is Action.REARM),
        state=state or rollout.state,
        position=position or rollout.position,
        # Soak counts from here: resuming or completing keeps it, every move to a step begins it again.
        entered_at=now if position else rollout.entered_at,
        state_changed_at=now if state else rollout.state_changed_at,
        state_reason=reason if state else rollout.state_reason,
        latches_all=rollout.latches_all and action is not Action.REARM,
        held_by_guard=False,  # whatever else happens ends a hold of the guard, or makes it a person's
        completed_at=None if position or state is RolloutState.ROLLED_BACK else rollout.completed_at,
    )
    return Transition(action, rollout, after, reason)


def stale(rollout: Rollout, expected_version: int) -> list[Reason]:
    """Return the refusal of whoever saw another version."""
    if rollout.version == expected_version:
        return []
    sentence = (
        f"The rollout has changed since you saw it: version {expected_version} then, {rollout.version} now. Look again."
    )
    return [Reason("VERSION_CONFLICT", sentence)]


def _not_running(rollout: Rollout) -> list[Reason]:
    if rollout.state is RolloutState.RUNNING:
        return []
    sentence = f"The rollout is {rollout.state.replace('_', ' ')}: {rollout.state_reason}"
    return [Reason("NOT_RUNNING", sentence)]


def _latched(rollout: Rollout) -> list[Reason]:
    if not rollout.latched:
        return []
    return [Reason("ROLLED_BACK", "The rollout is rolled back; re-arm it first.")]


def closed_reasons(gates: Iterable[GateResult]) -> list[Reason]:
    """Return a refusal for each gate that is closed."""
    return [
        Reason("GATE_CLOSED", f"Gate {gate.name} is closed: {gate.reason}")
        for gate in gates
        if gate.status is GateStatus.CLOSED
    ]


def needs_reason(reason: str) -> list[Reason]:
    """Return the refusal of a change without a reason."""
    return [] if trimmed(reason) else [Reason("REASON_REQUIRED", "Say why: a reason is required.")]
