"""Plans and whom they expose: exposure only grows along a plan, and a wrong plan is named mistake by mistake."""

import itertools
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import (
    LOWEST,
    Phase,
    Plan,
    Position,
    exposure_at,
    exposures,
    position_after,
    position_before,
    positions,
)
from control_plane.core.plan_errors import plan_errors

START = datetime(2026, 1, 1, tzinfo=UTC)
PRO = Constraint("plan", Operator.IN, ("pro",))

percentages = st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).map(lambda steps: tuple(sorted(steps)))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw any plan that is valid."""
    kinds = draw(st.lists(st.sampled_from(list(AudienceKind)), min_size=1, max_size=5, unique=True))
    phases = []
    for kind in sorted(kinds, key=list(AudienceKind).index):
        stepped = kind not in (AudienceKind.ENVIRONMENTS, AudienceKind.ALLOWLIST)
        environments = ("development", "staging") if kind is AudienceKind.ENVIRONMENTS else ()
        steps = draw(percentages) if stepped else (100,)
        constraints = (PRO,) if kind is AudienceKind.ATTRIBUTES else ()
        phase = Phase(kind.value, kind.value, kind, steps, timedelta(days=1), environments, constraints=constraints)
        phases.append(phase)
    return Plan(tuple(phases), START)


def test_the_guide_plan_is_valid_and_has_its_ten_steps() -> None:
    plan = default_plan(START)
    assert plan_errors(plan) == []
    assert [(phase.name, phase.steps) for phase in plan.phases] == [
        ("development", (100,)),
        ("beta", (100,)),
        ("new-signups", (10, 25, 50, 100)),
        ("everyone", (10, 25, 50, 100)),
    ]


@given(plans())
def test_every_generated_plan_is_valid_and_walked_once_in_both_directions(plan: Plan) -> None:
    assert plan_errors(plan) == []
    up, position = [LOWEST], LOWEST
    while (position_above := position_after(plan, position)) is not None:
        up.append(position := position_above)
    assert tuple(up) == positions(plan)
    down = [position]
    while (position_below := position_before(plan, position)) is not None:
        down.append(position := position_below)
    assert down == up[::-1]


@given(plans(), st.sampled_from([PRODUCTION, "staging", "development", "elsewhere"]))
def test_no_step_up_takes_anybody_out_of_an_environment(plan: Plan, environment: str) -> None:
    walked = exposures(plan, environment)
    assert walked == {position: exposure_at(plan, position, environment) for position in positions(plan)}
    found = [astuple(exposure) for exposure in walked.values()]
    for before, after in itertools.pairwise(found):
        assert all(a >= b for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("position", "environment", "expected"),
    [
        (Position(0, 0), "staging", Exposure(environment=True)),
        (Position(0, 0), PRODUCTION, Exposure()),
        (Position(1, 0), PRODUCTION, Exposure(allowlist=True)),
        (Position(2, 1), PRODUCTION, Exposure(allowlist=True, new_signups_percentage=25)),
        (Position(3, 0), PRODUCTION, Exposure(allowlist=True, new_signups_percentage=100, everyone_percentage=10)),
        (Position(3, 3), "staging", Exposure(environment=True)),
        (Position(3, 3), "elsewhere", Exposure()),
    ],
)
def test_each_position_of_the_guide_exposes_its_audience(
    position: Position, environment: str, expected: Exposure
) -> None:
    assert exposure_at(default_plan(START), position, environment) == expected


def _with(**changes: Any) -> Plan:
    plan = default_plan(START)
    return replace(plan, phases=(*plan.phases[:2], replace(plan.phases[2], **changes)))


def _opening_named(*named: str) -> Plan:
    plan = default_plan(START)
    return replace(plan, phases=(replace(plan.phases[0], environments=named), *plan.phases[1:]))


def _opening(environments: int) -> Plan:
    return _opening_named(*(f"ring-{number}" for number in range(environments)))


@pytest.mark.parametrize(
    ("plan", "mistake"),
    [
        (Plan((), START), "at least one phase"),
        (Plan(default_plan(START).phases, datetime(2026, 1, 1)), "time zone"),  # noqa: DTZ001 - that is the mistake
        (Plan(default_plan(START).phases[::-1], START), "order"),
        (_with(name="beta"), "'beta' is used twice"),
        (_with(steps=()), "steps must ascend"),
        (_with(steps=(25, 10)), "steps must ascend"),
        (_with(steps=(0, 10)), "from 1 to 100"),
        (_with(steps=(50, 101)), "from 1 to 100"),
        (_with(soak=timedelta(days=-1)), "negative"),
        (_with(environments=("staging",)), "names environments if its audience is environments, and only then"),
        (_with(audience=AudienceKind.ALLOWLIST), "each at most once"),
        (replace(default_plan(START), contacts=("Ana", "Ana")), "contacts are at most 10, each once"),
        (replace(default_plan(START), contacts=(" ",)), "A contact has 1 to 100 characters"),
        (replace(default_plan(START), contacts=("a\nb",)), "A contact has 1 to 100 characters"),
        (_with(steps=tuple(range(1, 101)) * 5), "A plan has at most 500 steps."),
        (_opening_named("staging", "staging"), "environments are named once each."),
        (_opening_named("Production"), "people would take an environment of that name for production."),
        (_opening_named("qa "), "an environment has a name of 1 to 100 characters."),
        (_opening(51), "A plan is about at most 50 environments."),
        (replace(default_plan(START), owner="Ana\nBcc: all"), "owner is one line."),
        (_with(title="New\u2028signups"), "Phase 'new-signups': a title is one line."),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_with_the_mistake(plan: Plan, mistake: str) -> None:
    assert any(mistake in sentence for sentence in plan_errors(plan))


def test_production_is_never_opened_as_an_environment() -> None:
    plan = default_plan(START)
    opened = replace(plan, phases=(replace(plan.phases[0], environments=("staging", PRODUCTION)), *plan.phases[1:]))
    assert any("production" in sentence for sentence in plan_errors(opened))
