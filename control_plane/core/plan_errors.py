"""The mistakes of a plan: every reason why it can't be run, as sentences."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from control_plane.audiences.base import audience_kind
from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.checklist import TITLE_MAX, checklist_errors
from control_plane.core.phase_gates import Schedule
from control_plane.core.phases import Phase, Plan, environments_of, exposures, positions
from control_plane.core.value_types import LONGEST_DAYS
from control_plane.rollout_names import environment_errors

HIGHEST_RISK = 0.2
PHASES_MAX = 50
TAGS_MAX = 20
TEXT_MAX = {"description": 2000, "owner": 100}
TAG_MAX = 50
NOTIFY_MAX = 10
CONTACTS_MAX = 10
NAME_MAX = 100
CAP_MAX = 10**12
STEPS_MAX = 500
"""In all phases together: each is compared with others, which grows by more than their number."""
ENVIRONMENTS_MAX = 50
CAPS = ("credits_maximum", "operations_maximum", "users_maximum")
SOAK_MAX = timedelta(days=LONGEST_DAYS)


def plan_errors(plan: Plan) -> list[str]:
    """Return every reason why `plan` can't be run, as sentences; empty when it can."""
    mistakes = [] if plan.phases else ["A plan needs at least one phase."]
    if plan.new_signups_after.tzinfo is None:
        mistakes.append("new_signups_after needs a time zone; write it as 2026-01-01T00:00:00Z.")
    elif _is_out_of_range(plan.new_signups_after):
        mistakes.append("new_signups_after is no date that every time zone has.")
    names = [phase.name for phase in plan.phases]
    mistakes += [f"Phase name {name!r} is used twice." for name in sorted(set(names)) if names.count(name) > 1]
    for phase in plan.phases:
        mistakes += _phase_errors(phase)
    mistakes += checklist_errors(plan.checklists, names)
    mistakes += [*_text_errors(plan), *_target_errors(plan), *_contact_errors(plan)]
    if len(plan.phases) > PHASES_MAX:
        return [*mistakes, f"A plan has at most {PHASES_MAX} phases."]
    if sum(len(phase.steps) for phase in plan.phases) > STEPS_MAX:
        return [*mistakes, f"A plan has at most {STEPS_MAX} steps."]
    if len(environments_of(plan)) > ENVIRONMENTS_MAX:
        return [*mistakes, f"A plan is about at most {ENVIRONMENTS_MAX} environments."]
    mistakes += _environment_errors(plan)
    if all(phase.steps for phase in plan.phases):
        mistakes += _idle_phases(plan)
    return mistakes


def _environment_errors(plan: Plan) -> Iterator[str]:
    """Name what does not fit into a plan of one environment."""
    if not plan.is_of_one_environment:
        return
    yield from environment_errors(plan.environment)
    for phase in plan.phases:
        if others := sorted({*phase.environments} - {plan.environment}):
            yield (
                f"Phase {phase.name!r}: a plan of {plan.environment} opens that environment alone, not "
                f"{' and '.join(others)}."
            )
        for name in CAPS:
            if getattr(phase, name):
                yield f"Phase {phase.name!r}: caps are measured in production alone; leave out {name}."


def _is_out_of_range(instant: datetime) -> bool:
    try:
        instant.astimezone(UTC)
    except OverflowError:
        return True
    return False


def _text_errors(plan: Plan) -> Iterator[str]:
    for name, longest in TEXT_MAX.items():
        if len(getattr(plan, name)) > longest:
            yield f"{name} has at most {longest} characters."
    if len(plan.owner.splitlines()) > 1:
        yield "owner is one line."
    if len(plan.tags) > TAGS_MAX or len(set(plan.tags)) < len(plan.tags):
        yield f"tags are at most {TAGS_MAX}, each once."
    for tag in plan.tags:
        if not tag.strip() or not tag.isprintable() or len(tag) > TAG_MAX:
            yield f"A tag has 1 to {TAG_MAX} characters, not {tag[:TAG_MAX]!r}."
    planned = [phase.planned_start for phase in plan.phases if phase.planned_start]
    if planned != sorted(planned):
        yield "Each planned_start is on or after that of the phase before it."


def _target_errors(plan: Plan) -> Iterator[str]:
    if len(plan.notify) > NOTIFY_MAX or len(set(plan.notify)) < len(plan.notify):
        yield f"notify names at most {NOTIFY_MAX} targets, each once."
    for target in plan.notify:
        if not target.isprintable() or not 1 <= len(target) <= TAG_MAX:
            yield f"A target in notify has a name of 1 to {TAG_MAX} characters, not {target[:TAG_MAX]!r}."


def _contact_errors(plan: Plan) -> Iterator[str]:
    if len(plan.contacts) > CONTACTS_MAX or len(set(plan.contacts)) < len(plan.contacts):
        yield f"contacts are at most {CONTACTS_MAX}, each once."
    for contact in plan.contacts:
        if not contact.strip() or not contact.isprintable() or len(contact) > NAME_MAX:
            yield f"A contact has 1 to {NAME_MAX} characters, not {contact[:TAG_MAX]!r}."


def _idle_phases(plan: Plan) -> Iterator[str]:
    """Name each phase that would let nobody in: it would wait, and prove nothing."""
    found = [exposures(plan, each) for each in environments_of(plan)]
    for before, after in pairwise(positions(plan)):
        pairs = [(there[before], there[after]) for there in found] if after.step == 0 else []
        # One that takes somebody out is not idle, but a person has to confirm it.
        if pairs and not any(new.adds_somebody_to(old) or old.adds_somebody_to(new) for old, new in pairs):
            yield (
                f"Phase {plan.phases[after.phase].name!r} adds nobody to the phases before it: audiences may follow in "
                "any order in which exposure grows, each at most once but with more users."
            )


def _phase_errors(phase: Phase) -> list[str]:
    mistakes = []
    if not phase.steps or list(phase.steps) != sorted(set(phase.steps)):
        mistakes.append(f"Phase {phase.name!r}: steps must ascend, each once.")
    if any(not 1 <= step <= 100 for step in phase.steps):
        mistakes.append(f"Phase {phase.name!r}: a step is a whole percentage from 1 to 100.")
    mistakes += [f"Phase {phase.name!r}: {error}" for error in audience_kind(phase.audience).errors(phase)]
    if PRODUCTION in phase.environments:
        mistakes.append(
            f"Phase {phase.name!r}: production can't be an environment here; its users come in by audiences."
        )
    caps = (phase.users_maximum, phase.operations_maximum, phase.credits_maximum)
    if any(cap is not None and not 0 <= cap <= CAP_MAX for cap in caps):
        mistakes.append(f"Phase {phase.name!r}: a cap is 0 to {CAP_MAX:,}.")
    if not 0 <= phase.served_minimum <= CAP_MAX:
        mistakes.append(f"Phase {phase.name!r}: served_minimum is 0 to {CAP_MAX:,}.")
    if phase.safety_risk is not None and not 0 < phase.safety_risk <= HIGHEST_RISK:
        mistakes.append(f"Phase {phase.name!r}: safety_risk is above 0 and at most {HIGHEST_RISK}, a chance of 20 %.")
    if not timedelta(0) <= phase.soak <= SOAK_MAX:
        mistakes.append(f"Phase {phase.name!r}: soak can't be negative, or longer than {SOAK_MAX.days} days.")
    mistakes += _name_errors(phase)
    schedule = phase.advance.errors() if isinstance(phase.advance, Schedule) else ()
    mistakes += [f"Phase {phase.name!r}: {error}" for error in (*schedule, *phase.gates.errors())]
    return mistakes


def _name_errors(phase: Phase) -> Iterator[str]:
    if not 1 <= len(phase.name) <= NAME_MAX or not phase.name.isprintable():
        yield f"A phase has a name of 1 to {NAME_MAX} characters, not {phase.name[:NAME_MAX]!r}."
    if len(phase.title) > TITLE_MAX:
        yield f"Phase {phase.name[:NAME_MAX]!r}: a title has at most {TITLE_MAX} characters."
    if len(phase.title.splitlines()) > 1:
        yield f"Phase {phase.name[:NAME_MAX]!r}: a title is one line."
    names = phase.environments
    if len(set(names)) < len(names):
        yield f"Phase {phase.name[:NAME_MAX]!r}: environments are named once each."
    if any(name != PRODUCTION and name.strip().lower() == PRODUCTION for name in names):
        yield f"Phase {phase.name[:NAME_MAX]!r}: people would take an environment of that name for {PRODUCTION}."
    if any(not 1 <= len(name) <= NAME_MAX or not name.isprintable() or name != name.strip() for name in names):
        yield f"Phase {phase.name[:NAME_MAX]!r}: an environment has a name of 1 to {NAME_MAX} characters."
