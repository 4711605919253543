"""Plans to begin with. Each call makes a copy of its own, so that what becomes of one changes no other. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from control_plane.audiences.base import AudienceKind, audience_kind
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.checklists.guide import guide_plan
from control_plane.core.phase_gates import OnBreach
from control_plane.core.phases import PRE_PRODUCTION, FlagType, Phase, Plan

DAY = timedelta(days=1)
REGIONS = ("eu", "us", "apac")


@dataclass(frozen=True, slots=True)
class Template:
    """A plan to begin with, and the sentence that says what it does."""

    description: str
    make: Callable[[datetime], Plan]
    """Makes the plan; new signups are those after the instant."""


def kill_switch(new_signups_after: datetime) -> Plan:
    """Make a plan of one step to everyone."""
    return Plan((_everyone((100,), timedelta(0)),), new_signups_after, type=FlagType.KILL_SWITCH)


def percentage_ramp(new_signups_after: datetime) -> Plan:
    """Make a plan that raises the share of everyone each day."""
    return Plan((_pre_production(DAY), _everyone((1, 5, 10, 25, 50, 100), DAY)), new_signups_after)


def new_users_only(new_signups_after: datetime) -> Plan:
    """Make a plan that never reaches those who signed up before."""
    newcomers = Phase("new-signups", "New signups", AudienceKind.NEW_SIGNUPS, (10, 50, 100), 2 * DAY)
    return Plan((_pre_production(DAY), newcomers), new_signups_after)


def region_by_region(new_signups_after: datetime) -> Plan:
    """Make a plan with a phase for each of REGIONS."""
    phases = [
        Phase(
            name=region,
            title=f"Region {region}",
            audience=AudienceKind.ATTRIBUTES,
            steps=(10, 100),
            soak=2 * DAY,
            constraints=(Constraint("region", Operator.IN, (region,)),),
        )
        for region in REGIONS
    ]
    return Plan((_pre_production(DAY), *phases, _everyone((100,), 7 * DAY)), new_signups_after)


def migration_with_shadow(new_signups_after: datetime) -> Plan:
    """Make a plan that begins with a week in which the shadow alone runs in production."""
    everyone = replace(_everyone((1, 5, 25, 50, 100), 2 * DAY), on_breach=OnBreach.STEP_BACK)
    return Plan((_pre_production(7 * DAY), everyone), new_signups_after, type=FlagType.OPERATIONAL)


TEMPLATES: Mapping[str, Template] = {
    "guide": Template(
        "Development and staging, beta, new signups, everyone: the guide's four weeks.",
        guide_plan,
    ),
    "kill-switch": Template("On for everyone in one step, to be rolled back in one.", kill_switch),
    "percentage-ramp": Template("Everyone, from 1 % to 100 %, a day for each step.", percentage_ramp),
    "new-users-only": Template("Those who sign up from now on, and nobody else.", new_users_only),
    "region-by-region": Template(
        "One region after the other by the attribute `region`, then everyone.",
        region_by_region,
    ),
    "migration-with-shadow": Template(
        "A week in shadow while nobody in production is served, then in small steps that the guard may take back.",
        migration_with_shadow,
    ),
}


def for_environment(plan: Plan, environment: str) -> Plan:
    """Return a template's plan for one environment: without what concerns others, or reads production's traffic."""
    phases = tuple(
        replace(
            phase,
            served_minimum=0,
            safety_risk=None,
            users_maximum=None,
            operations_maximum=None,
            credits_maximum=None,
        )
        for phase in plan.phases
        if not audience_kind(phase.audience).takes_environments
    )
    return replace(plan, phases=phases, checklists=(), environment=environment)


def _pre_production(soak: timedelta) -> Phase:
    return Phase(
        name="pre-production",
        title="Development and staging",
        audience=AudienceKind.ENVIRONMENTS,
        steps=(100,),
        soak=soak,
        environments=PRE_PRODUCTION,
    )


def _everyone(steps: tuple[int, ...], soak: timedelta) -> Phase:
    return Phase("everyone", "Everyone", AudienceKind.EVERYONE, steps, soak)
