"""Plans by the seat: so many times the limits, found by name, and more seats always stand higher."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.credit_plan import SEATS_MAX, CreditPlan
from credits_engine.engines.plans import CATALOGUE, Catalogue, UnknownPlanError

TEAM = replace(CATALOGUE.built_in[2], name="team", title="Team", aliases=("crew",), price_keys=(), per_seat=True)
PLANS = Catalogue((*CATALOGUE.built_in[:3], TEAM, *CATALOGUE.built_in[3:]))
SEATS = st.integers(1, SEATS_MAX)


@given(SEATS)
def test_each_limit_is_that_many_times_one_seats(seats: int) -> None:
    plan = TEAM.with_seats(seats)
    assert PLANS.plan(plan.name) == plan
    assert plan.v2.figures == tuple(None if each is None else each * seats for each in TEAM.v2.figures)
    assert plan.legacy.figures == tuple(None if each is None else each * seats for each in TEAM.legacy.figures)
    assert plan.base_name == "team"


@given(SEATS, SEATS)
def test_more_seats_are_an_upgrade_within_the_place_of_the_plan(one: int, other: int) -> None:
    before, after = TEAM.with_seats(one), TEAM.with_seats(other)
    assert PLANS.is_upgrade(before, after) == (other > one)
    assert PLANS.is_upgrade(PLANS.plan("pro"), after)
    assert PLANS.is_upgrade(after, PLANS.plan("plus"))


@pytest.mark.parametrize("name", ["team:0", "team:1", "team:-2", "team:02", "team: 2", "team:1000000", "pro:2", ":2"])
def test_no_other_spelling_is_a_plan(name: str) -> None:
    with pytest.raises(UnknownPlanError):
        PLANS.plan(name)


def test_a_plan_that_is_not_by_the_seat_is_itself_for_any_quantity() -> None:
    pro: CreditPlan = PLANS.plan("pro")
    assert pro.with_seats(9) is pro
    assert TEAM.with_seats(0) is TEAM
    assert TEAM.with_seats(10 * SEATS_MAX).seats == SEATS_MAX
