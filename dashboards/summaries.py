"""A rollout in words: whom it reaches, how it stands, what its next step does, and its phases as a timeline. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from alerts.analysis.verdicts import Verdict
from control_plane.audiences.base import AudienceKind
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.latch import environments_on
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
from control_plane.rollout_names import environment_of, flag_of
from dashboards.audience_sentences import audience_reach, audience_sentence, is_share
from dashboards.delivered_texts import delivered
from dashboards.filters import (
    ago,
    duration,
    first_sentence,
    joined,
    percentage,
    pluralize,
    sentence,
    sentence_case,
    utc_day,
)
from dashboards.gate_sentences import gate_sentence
from dashboards.incident_sentences import incident_sentence
from dashboards.language import N_, SOURCE, gettext, language, ngettext, pgettext
from dashboards.latch_sentences import environments_sentence, serves_sentence
from dashboards.side_names import localized_names
from dashboards.stored_sentences import localized_text


@dataclass(frozen=True, slots=True)
class StepView:
    """One percentage of a phase; `state` is a token of `badges.py`."""

    percentage: int
    state: str


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One phase on the timeline. `entered_at` and `lasted` are None where this attempt has not been."""

    number: int
    name: str
    title: str
    audience: str
    state: str
    steps: tuple[StepView, ...]
    soak: timedelta
    entered_at: datetime | None
    lasted: timedelta | None
    """From its first step until the next phase began, or until now."""
    planned_start: date | None
    days_late: int
    """How many days after its planned start it began, or has not begun yet."""

    @property
    def stepped(self) -> bool:
        """Return whether the phase has more than one step."""
        return len(self.steps) > 1


def timeline(rollout: Rollout, entered: Mapping[str, datetime], now: datetime) -> tuple[PhaseView, ...]:
    """Return the phases in order; `entered` says when this attempt came to each, by name."""
    return tuple(_phase_view(rollout, index, entered, now) for index in range(len(rollout.plan.phases)))


def audience(plan: Plan, phase: Phase) -> str:
    """Describe the audience of a phase, as a sentence without its full stop."""
    if plan.is_of_one_environment and phase.audience == AudienceKind.EVERYONE:
        return gettext("All users in %(environment)s", environment=plan.environment)
    return audience_sentence(phase, utc_day(plan.new_signups_after))


def reach(plan: Plan, position: Position) -> str:
    """Describe the audience of a step inside a sentence: `25 % of new signups`."""
    phase = plan.phases[position.phase]
    return audience_reach(phase, percentage(phase.steps[position.step]))


def reach_now(rollout: Rollout, elsewhere: Collection[str] = ()) -> str:
    """Describe whom the flag reaches; nobody while it is rolled back, but where a rollback left it on."""
    if rollout.latched:
        names = environments_on(rollout, elsewhere)
        return joined(names) if names else gettext("nobody")
    return reach(rollout.plan, rollout.position)


def environments_elsewhere(flag: str, names: Iterable[str]) -> Sequence[str]:
    """Return the environments in which other rollouts decide than the one of `flag`, among the `names` of rollouts."""
    if environment_of(flag) is not None:
        return ()
    return sorted(name for each in names if flag_of(each) == flag and (name := environment_of(each)))


def decided_elsewhere(found: Sequence[str]) -> str:
    """Say in which environments other rollouts decide; empty where this one decides in all of its own."""
    if not found:
        return ""
    return ngettext(
        "In %(environments)s a rollout of its own decides.",
        "In %(environments)s rollouts of their own decide.",
        len(found),
        environments=joined(found),
    )


def advance_label(rollout: Rollout) -> str:
    """Return the label of the primary button."""
    position = position_after(rollout.plan, rollout.position)
    if position is None:
        return gettext("Complete the rollout")
    here = reach(rollout.plan, position)
    if is_share(rollout.plan.phases[position.phase]):
        return pgettext("to a share", "Advance to %(reach)s", reach=here)
    return gettext("Advance to %(reach)s", reach=here)


def step_back_label(rollout: Rollout) -> str | None:
    """Return the label for stepping back; None at the lowest step."""
    position = position_below(rollout.plan, rollout.position)
    if position is None:
        return None
    here = reach(rollout.plan, position)
    if is_share(rollout.plan.phases[position.phase]):
        return pgettext("to a share", "Step back to %(reach)s", reach=here)
    return gettext("Step back to %(reach)s", reach=here)


def status_sentence(
    rollout: Rollout,
    gates: Sequence[GateResult] | None,
    now: datetime,
    migration: Migration | None = CREDITS,
    *,
    incident: Verdict | None = None,
    elsewhere: Collection[str] = (),
) -> str:
    """Describe the state of the rollout in one or two sentences; without its gates where nobody asked them.

    The name of the state itself stands beside it on every page, as its badge or its heading.
    `incident` is what the guard acted on, if it did; of the environments in `elsewhere` other rollouts decide.
    """
    here, names = reach(rollout.plan, rollout.position), localized_names(migration)
    why = _why(rollout, migration, incident)
    lasted = duration(now - rollout.state_changed_at)
    if rollout.archived_at:
        return gettext("Archived %(ago)s: nobody has it, and no SDK gets it.", ago=ago(rollout.archived_at, now))
    match rollout.state:
        case RolloutState.RUNNING:
            lasts = gettext("%(reach)s for %(span)s.", reach=_capital(here), span=duration(now - rollout.entered_at))
            return f"{lasts} {gates_sentence(gates)}" if gates is not None else lasts
        case RolloutState.HELD:
            if rollout.held_by_guard:
                return gettext("Held by the guard at %(reach)s for %(span)s: %(why)s", reach=here, span=lasted, why=why)
            until_resumed = N_("Held at %(reach)s for %(span)s, until somebody resumes it: %(why)s")
            return gettext(until_resumed, reach=here, span=lasted, why=why)
        case RolloutState.ROLLED_BACK:
            ended = ago(rollout.state_changed_at, now)
            serves = serves_sentence(rollout, names)
            stands = gettext("This attempt ended %(ago)s; %(serves)s. %(why)s", ago=ended, serves=serves, why=why)
            return f"{stands} {environments_sentence(rollout, elsewhere)}".strip()
        case RolloutState.COMPLETE:
            return gettext(
                "Complete for %(span)s: %(candidate)s serves everybody.",
                span=duration(now - (rollout.completed_at or rollout.state_changed_at)),
                candidate=names.candidate,
            )


def _why(rollout: Rollout, migration: Migration | None, incident: Verdict | None) -> str:
    if incident is None or incident.cohort or language() == SOURCE:
        return localized_text(first_sentence(sentence(rollout.state_reason)))
    return incident_sentence(incident, migration)


def gates_sentence(gates: Sequence[GateResult]) -> str:
    """Describe what keeps the rollout from its next step."""
    closed = [gate for gate in gates if gate.status is GateStatus.CLOSED]
    unknown = [gate for gate in gates if gate.status is GateStatus.UNKNOWN]
    if closed:
        return ngettext(
            "%(closed)s of %(gates)s is closed: %(reasons)s",
            "%(closed)s of %(gates)s are closed: %(reasons)s",
            len(closed),
            closed=len(closed),
            gates=pluralize(len(gates), "gate"),
            reasons=" ".join(sentence_case(first_sentence(gate_sentence(gate))) for gate in closed),
        )
    if unknown:
        return ngettext(
            "%(gates)s can't tell yet whether the next step is safe; an owner may approve it with a reason.",
            "%(gates)s can't tell yet whether the next step is safe; an owner may approve it with a reason.",
            len(unknown),
            gates=pluralize(len(unknown), "gate"),
        )
    return gettext("Every gate is open: the rollout may advance.")


def _phase_view(rollout: Rollout, index: int, entered: Mapping[str, datetime], now: datetime) -> PhaseView:
    phase = rollout.plan.phases[index]
    steps = tuple(StepView(part, _state(rollout, Position(index, step))) for step, part in enumerate(phase.steps))
    states = {step.state for step in steps}
    state = next((token for token in ("stopped", "current") if token in states), steps[-1].state)
    entered_at = entered.get(phase.name) if state != "upcoming" else None
    return PhaseView(
        number=index + 1,
        name=phase.name,
        title=delivered(phase.title),
        audience=audience(rollout.plan, phase),
        state=state,
        steps=steps,
        soak=phase.soak,
        entered_at=entered_at,
        lasted=_left_at(rollout, index, entered, now) - entered_at if entered_at else None,
        planned_start=phase.planned_start,
        days_late=phase.days_late(entered_at or now) if entered_at or state == "upcoming" else 0,
    )


def _left_at(rollout: Rollout, index: int, entered: Mapping[str, datetime], now: datetime) -> datetime:
    """Return when the phase after it began; for the one that was reached last, when that ended, or now."""
    if index < rollout.position.phase:
        later = [entered[each.name] for each in rollout.plan.phases[index + 1 :] if each.name in entered]
        return min(later, default=now)
    return rollout.state_changed_at if rollout.latched else rollout.completed_at or now


def _state(rollout: Rollout, position: Position) -> str:
    if position < rollout.position or rollout.completed_at:
        return "done"
    if position > rollout.position:
        return "upcoming"
    return "stopped" if rollout.latched else "current"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
