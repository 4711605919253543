"""A rollout in words: whom it reaches, how it stands, what its next step does, and its phases as a timeline. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.audiences.base import audience_kind
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.latch import environments_on, everybody_served, latch_sentence
from control_plane.core.phases import (
    Phase,
    Plan,
    Position,
    Rollout,
    RolloutState,
    position_after,
    position_below,
)
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration
from dashboards.filters import ago, day, duration, first_sentence, percentage, pluralize, sentence, sentence_case


@dataclass(frozen=True, slots=True)
class StepView:
    """One percentage of a phase; `state` is a token of `badges.py`."""

    percentage: int
    state: str


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One phase on the timeline. `entered_at` is None where this attempt has not been."""

    number: int
    name: str
    title: str
    audience: str
    state: str
    steps: tuple[StepView, ...]
    soak: timedelta
    entered_at: datetime | None

    @property
    def stepped(self) -> bool:
        """Return whether the phase has more than one step."""
        return len(self.steps) > 1


def timeline(rollout: Rollout, entered: Mapping[str, datetime]) -> tuple[PhaseView, ...]:
    """The phases in order; `entered` says when this attempt came to each, by name."""
    return tuple(_phase_view(rollout, index, entered) for index in range(len(rollout.plan.phases)))


def audience(plan: Plan, phase: Phase) -> str:
    """Describe the audience of a phase, as a sentence without its full stop."""
    return audience_kind(phase.audience).sentence(phase, day(plan.new_signups_after))


def reach(plan: Plan, position: Position) -> str:
    """Describe the audience of a step inside a sentence: `25 % of new signups`."""
    phase = plan.phases[position.phase]
    return audience_kind(phase.audience).reach(phase, percentage(phase.steps[position.step]))


def reach_now(rollout: Rollout) -> str:
    """Describe whom the flag reaches; nobody while it is rolled back, but where a rollback left it on."""
    if rollout.latched:
        return " and ".join(environments_on(rollout)) or "nobody"
    return reach(rollout.plan, rollout.position)


def advance_label(rollout: Rollout) -> str:
    """Return the label of the primary button."""
    position = position_after(rollout.plan, rollout.position)
    return f"Advance to {reach(rollout.plan, position)}" if position else "Complete the rollout"


def step_back_label(rollout: Rollout) -> str | None:
    """Return the label for stepping back; None at the lowest step."""
    position = position_below(rollout.plan, rollout.position)
    return f"Step back to {reach(rollout.plan, position)}" if position else None


def status_sentence(
    rollout: Rollout,
    gates: Sequence[GateResult],
    now: datetime,
    migration: Migration = CREDITS,
    *,
    gates_known: bool = True,
) -> str:
    """Describe the state of the rollout in one or two sentences; without its gates where nobody asked them."""
    here = reach(rollout.plan, rollout.position)
    why = sentence_case(first_sentence(sentence(rollout.state_reason)))
    lasted = duration(now - rollout.state_changed_at)
    match rollout.state:
        case RolloutState.RUNNING:
            lasts = f"{_capital(here)} for {duration(now - rollout.entered_at)}."
            return f"{lasts} {gates_sentence(gates)}" if gates_known else lasts
        case RolloutState.HELD:
            holder = "the guard" if rollout.held_by_guard else "a person"
            return f"Held by {holder} at {here} for {lasted}: {why}"
        case RolloutState.ROLLED_BACK:
            serves = f"{migration.control} serves {everybody_served(rollout)}"
            stands = f"Rolled back {ago(rollout.state_changed_at, now)}, {serves}: {why}"
            return f"{stands} {latch_sentence(rollout)}".strip()
        case RolloutState.COMPLETE:
            return f"Complete for {lasted}: {migration.candidate} serves everybody."


def gates_sentence(gates: Sequence[GateResult]) -> str:
    """Describe what keeps the rollout from its next step."""
    closed = [gate for gate in gates if gate.status is GateStatus.CLOSED]
    unknown = [gate for gate in gates if gate.status is GateStatus.UNKNOWN]
    if closed:
        verb = "is" if len(closed) == 1 else "are"
        reasons = " ".join(sentence_case(first_sentence(gate.reason)) for gate in closed)
        return f"{len(closed)} of {pluralize(len(gates), 'gate')} {verb} closed: {reasons}"
    if unknown:
        count = pluralize(len(unknown), "gate")
        return f"{count} can't tell yet whether the next step is safe; an owner may approve it with a reason."
    return "Every gate is open: the rollout may advance."


def _phase_view(rollout: Rollout, index: int, entered: Mapping[str, datetime]) -> PhaseView:
    phase = rollout.plan.phases[index]
    steps = tuple(StepView(part, _state(rollout, Position(index, step))) for step, part in enumerate(phase.steps))
    states = {step.state for step in steps}
    state = next((token for token in ("stopped", "current") if token in states), steps[-1].state)
    return PhaseView(
        number=index + 1,
        name=phase.name,
        title=phase.title,
        audience=audience(rollout.plan, phase),
        state=state,
        steps=steps,
        soak=phase.soak,
        entered_at=entered.get(phase.name) if state != "upcoming" else None,
    )


def _state(rollout: Rollout, position: Position) -> str:
    if position < rollout.position or rollout.state is RolloutState.COMPLETE:
        return "done"
    if position > rollout.position:
        return "upcoming"
    return "stopped" if rollout.latched else "current"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
