"""Documents that name segments: read with the conditions of the segment, written with its name, compared with both."""

from collections.abc import Sequence
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.exposure import PRODUCTION
from control_plane.audiences.segment import Segment
from control_plane.core.phases import Plan
from control_plane.core.plan_errors import plan_errors
from control_plane.plans import document, form
from control_plane.plans.document import InvalidPlan
from tests.control_plane.plans.test_document import TEXTS, plans

TEXT = """flag: SEARCH
new_signups_after: 2026-07-01T00:00:00Z
phases:
  - name: beta
    title: Beta
    audience: attributes
    segment: beta
    steps: [10, 100]
    soak: P1D
"""
PRO = Constraint("plan", Operator.IN, ("pro", "team"))
EU = Constraint("region", Operator.STR_STARTS_WITH, ("eu-",), case_insensitive=True)
STORED = [Segment(PRODUCTION, "beta", (PRO, EU)), Segment("staging", "beta", (EU,))]


def stored() -> Sequence[Segment]:
    return STORED


def mistakes(text: str) -> list[str]:
    with pytest.raises(InvalidPlan) as invalid:
        document.parse(text, segments=stored)
    return [str(each) for each in invalid.value.mistakes]


@st.composite
def plans_with_segments(draw: st.DrawFn) -> tuple[Plan, list[Segment]]:
    """Draw a plan, some of whose conditions were taken from segments, and these, with others beside them."""
    made = draw(plans())
    phases, found = [], list(STORED[1:])
    for phase in made.phases:
        if draw(st.booleans()) and phase.constraints:
            name = draw(TEXTS.filter(len))
            phases.append(replace(phase, segment=name))
            found.append(Segment(PRODUCTION, name, phase.constraints))
        else:
            phases.append(phase)
    return replace(made, phases=tuple(phases)), found


@settings(max_examples=25)
@given(plans_with_segments())
def test_a_plan_is_read_back_from_its_file_where_the_segments_are_as_they_were(
    drawn: tuple[Plan, list[Segment]],
) -> None:
    plan, segments = drawn
    assert document.parse(document.to_yaml(plan, "SEARCH"), segments=lambda: segments).plan == plan
    assert document.from_value(document.to_value(plan), segments=lambda: segments).plan == plan
    jsonschema.validate(document.to_value(plan), document.schema())
    without = document.without_segments(plan)
    assert document.from_value(document.to_value(without)).plan == without
    assert [each.constraints for each in without.phases] == [each.constraints for each in plan.phases]


def test_elsewhere_the_same_file_takes_the_conditions_that_the_segment_has_there() -> None:
    here = document.parse(TEXT, segments=stored).plan
    assert (here.phases[0].segment, here.phases[0].constraints) == ("beta", (PRO, EU))
    written = document.to_yaml(here, "SEARCH")
    assert ("segment: beta" in written, "constraints" in written) == (True, False)
    there = document.parse(written, segments=lambda: [Segment(PRODUCTION, "beta", (EU,))]).plan
    assert there.phases[0].constraints == (EU,)
    lines = document.diff(here, there)
    assert "-  - context_name: plan" in lines
    assert document.diff(here, here) == []


@pytest.mark.parametrize(
    ("rollout", "text"),
    [
        ("SEARCH@staging", TEXT),
        ("SEARCH", f"{TEXT}environment: staging\n"),
        (None, TEXT.replace("SEARCH", "SEARCH@staging")),
    ],
)
def test_the_segment_is_that_of_the_environment_of_the_rollout(rollout: str | None, text: str) -> None:
    assert document.parse(text, rollout, stored).plan.phases[0].constraints == (EU,)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            TEXT.replace("segment: beta", "segment: betas"),
            "Line 7, phases.0.segment: names no segment of production; did you mean beta.",
        ),
        (
            f"{TEXT}    constraints:\n      - {{context_name: plan, operator: IN, values: [pro]}}\n",
            "Line 7, phases.0.segment: stands beside constraints; keep one of the two.",
        ),
        (
            TEXT.replace("    segment: beta\n", ""),
            "plan: Phase 'beta': a phase has constraints or a segment if its audience is attributes, and only then.",
        ),
        (
            TEXT.replace("attributes", "everyone"),
            "plan: Phase 'beta': a phase has constraints or a segment if its audience is attributes, and only then.",
        ),
        (TEXT.replace("segment: beta", "segment: 7"), "Line 7, phases.0.segment: is no text; put it in quotes."),
    ],
)
def test_each_mistake_with_a_segment_is_named(text: str, mistake: str) -> None:
    assert mistakes(text) == [mistake]


def test_the_mistakes_of_segments_stand_beside_those_of_other_fields() -> None:
    found = mistakes(TEXT.replace("segment: beta", "segment: x").replace("P1D", "soon"))
    assert [each.partition(":")[0] for each in found] == ["Line 7, phases.0.segment", "Line 9, phases.0.soak"]


def test_a_plan_whose_segment_was_never_looked_up_admits_nobody() -> None:
    plan = document.parse(TEXT, segments=stored).plan
    bare = replace(plan, phases=(replace(plan.phases[0], constraints=()),))
    assert plan_errors(bare) == [
        "Phase 'beta': a phase has constraints or a segment if its audience is attributes, and only then."
    ]


def test_the_schema_refuses_both() -> None:
    value = document.to_value(document.parse(TEXT, segments=stored).plan)
    jsonschema.validate(value, document.schema())
    value["phases"][0]["constraints"] = [{"context_name": "plan", "operator": "IN", "values": ["pro"]}]  # type: ignore[index]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, document.schema())


def test_a_form_chooses_a_segment_and_lets_it_go() -> None:
    shown = form.read(TEXT)
    assert shown is not None
    assert (shown.phases[0]["segment"], shown.phases[0]["constraints"]) == ("beta", "")
    texts = {"phases.0.segment": "", "phases.0.constraints": "plan IN pro"}
    own = form.merge(TEXT, TEXT, texts)
    assert document.parse(own).plan.phases[0].constraints == (Constraint("plan", Operator.IN, ("pro",)),)
    again = form.merge(own, own, {"phases.0.segment": "beta", "phases.0.constraints": ""})
    assert document.parse(again, segments=stored).plan.phases[0].constraints == (PRO, EU)
