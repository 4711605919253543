"""Which approvals stand before each step of a plan, and what another plan would open with fewer. Pure."""

from collections.abc import Iterator, Mapping

from control_plane.audiences.exposure import Exposure
from control_plane.audiences.exposure_changes import changes_between
from control_plane.core.phase_gates import Approvals
from control_plane.core.phases import LOWEST, Phase, Plan, Position, Rollout, environments_of, exposures


def opened_with_fewer(before: Rollout, after: Rollout) -> Iterator[str]:
    """Name each phase that is reached with fewer approvals after the edit: from here on, or by another attempt.

    A phase asks before its steps are left, so what it asks for belongs to whoever comes later. Without the phase, or
    behind them, nobody asks.
    """
    starts = [(LOWEST, LOWEST)] if before.latched else [(LOWEST, LOWEST), (before.position, after.position)]
    same_reach = _same_reach(before.plan, after.plan)
    for start_before, start_after in starts:
        for position, end in same_reach.items():
            if position < start_after:
                continue
            needed = approvals_between(before.plan, start_before, end)
            passed = approvals_between(after.plan, start_after, position)
            if any(all(is_weaker(each, than) for each in passed) for than in needed):
                yield after.plan.phases[position.phase].name


def given_up(before: Plan, after: Plan) -> Iterator[str]:
    """Name each phase whose approvals no phase of the new plan asks for: an edit after this one could do without."""
    left = [wanted for phase in after.phases if (wanted := phase.gates.approvals)]
    for phase in before.phases:
        needed = phase.gates.approvals
        if needed and all(is_weaker(each, needed) for each in left):
            yield phase.name


def approvals_between(plan: Plan, start: Position, end: Position | None) -> list[Approvals]:
    """Return what is asked for on the way from `start` to `end`, or to the end of the plan."""
    last = len(plan.phases) if end is None else end.phase + (end.step > 0 and end > start)
    return [approvals for phase in plan.phases[start.phase : last] if (approvals := phase.gates.approvals)]


def weaker_phases(before: Plan, after: Plan, wanted: Approvals) -> Iterator[str]:
    """Name each phase of the new plan that opens something with fewer approvals than the old plan would take."""
    known = {_audience(phase): phase.gates.approvals for phase in before.phases}
    for phase in after.phases:
        needed = known.get(_audience(phase), wanted)
        if needed is not None and is_weaker(phase.gates.approvals, needed):
            yield phase.name


def strongest(plan: Plan) -> Approvals | None:
    """Return the approvals with the highest quorum that a phase asks for, by the fewest roles; None where none does."""
    found = [phase.gates.approvals for phase in plan.phases if phase.gates.approvals]
    return max(found, key=lambda each: (each.quorum, -len(each.roles)), default=None)


def is_weaker(new: Approvals | None, old: Approvals) -> bool:
    """Return whether `new` is met by somebody, or by fewer, who would not meet `old`."""
    return new is None or new.quorum < old.quorum or not {*new.roles} <= {*old.roles}


def _audience(phase: Phase) -> tuple[object, ...]:
    return phase.name, phase.audience, phase.steps, phase.environments, phase.constraints


def _same_reach(before: Plan, after: Plan) -> Mapping[Position, Position | None]:
    """Return for each end of a phase of the new plan the lowest one of the old plan that admits everybody it admits."""
    pairs: list[tuple[Mapping[Position, Exposure], Mapping[Position, Exposure]]] = []
    for name in environments_of(before, after):
        if (pair := (exposures(before, name), exposures(after, name))) not in pairs:  # many environments go alike
            pairs.append(pair)

    def admits(old: Exposure, new: Exposure) -> bool:
        added = changes_between(
            old, new, cutover_of_smaller=before.new_signups_after, cutover_of_larger=after.new_signups_after
        )
        return next(iter(added), None) is None

    return {
        position: next(
            (each for each in _ends(before) if all(admits(old[each], new[position]) for old, new in pairs)), None
        )
        for position in _ends(after)
    }


def _ends(plan: Plan) -> Iterator[Position]:
    """Yield the first and the last step of each phase: those in between are reached as the last one is."""
    for index, phase in enumerate(plan.phases):
        yield Position(index, 0)
        if len(phase.steps) > 1:
            yield Position(index, len(phase.steps) - 1)
