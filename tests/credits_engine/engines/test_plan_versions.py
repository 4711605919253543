"""Plans by versions: what is in force when, what stays, and what can't be added."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.amounts import KINDS, Limits
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plan_versions import PlanVersion, plans_at, version_errors
from credits_engine.engines.plans import CATALOGUE, Catalogue

START = datetime(2027, 3, 10, tzinfo=UTC)
DAY = timedelta(days=1)
BUILT_IN = CATALOGUE.built_in


def version(plan: str, v2: int, *, starts: datetime = START, above: str | None = None) -> PlanVersion:
    return PlanVersion(plan, plan.capitalize(), starts, dict.fromkeys(KINDS, (v2, v2 + 1)), above)


def at(now: datetime, *versions: PlanVersion) -> Catalogue:
    return Catalogue(plans_at(BUILT_IN, versions, KINDS, now))


def test_a_new_plan_stands_above_the_one_it_names_with_its_limits_at_once() -> None:
    team = version("team", 7, above="pro")
    assert at(START - DAY, team).plans == BUILT_IN
    found = at(START, team)
    assert [plan.name for plan in found] == ["free", "starter", "pro", "team", "plus", "custom"]
    assert (found.plan("team").v2, found.plan("team").legacy) == (Limits(7, 7), Limits(8, 8))
    assert found.is_upgrade(found.plan("pro"), found.plan("team"))
    assert found.is_upgrade(found.plan("team"), found.plan("plus"))


def test_a_plan_above_one_that_has_left_the_catalogue_stands_above_all_that_are_left() -> None:
    left = tuple(plan for plan in BUILT_IN if plan.name != "plus")
    found = plans_at(left, [version("team", 7, above="plus")], KINDS, START)
    assert [plan.name for plan in found] == ["free", "starter", "pro", "custom", "team"]


def test_another_limit_counts_for_new_periods_and_from_legacys_next_month_on() -> None:
    pro = version("pro", 5)
    before, during, after = at(START - DAY, pro), at(START, pro), at(calendar_month(START).end, pro)
    assert before.plan("pro").v2 == BUILT_IN[2].v2
    assert (during.plan("pro").v2, during.plan("pro").legacy) == (Limits(5, 5), BUILT_IN[2].legacy)
    assert after.plan("pro").legacy == Limits(6, 6)
    assert during.plan_for_price("pro_monthly").name == "pro"


MOMENTS = st.integers(0, 400).map(lambda days: START + days * DAY)


@given(st.lists(st.builds(version, st.sampled_from(["free", "pro"]), st.integers(0, 99), starts=MOMENTS)), MOMENTS)
def test_the_newest_begun_version_counts_in_whatever_order_they_were_added(
    versions: list[PlanVersion], now: datetime
) -> None:
    unique = list({(each.plan, each.starts_at): each for each in versions}.values())
    found = at(now, *unique)
    for plan in BUILT_IN:
        begun = [each for each in unique if each.plan == plan.name and each.starts_at <= now]
        expected = max(begun, key=lambda each: each.starts_at).v2(KINDS) if begun else plan.v2
        months = [each for each in unique if each.plan == plan.name and each.legacy_starts_at <= now]
        legacy = max(months, key=lambda each: each.starts_at).legacy(KINDS) if months else plan.legacy
        assert (found.plan(plan.name).v2, found.plan(plan.name).legacy) == (expected, legacy)
    assert found.plans == at(now, *reversed(unique)).plans


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (version("team", 1), "say above which plan it stands"),
        (version("team", 1, above="gold"), "there is no plan 'gold'"),
        (version("starter_trial", 1, above="pro"), "another name of a plan"),
        (version(" team", 1, above="pro"), "blanks around it"),
        (PlanVersion("pro", "Pro", START, {"analysis": (-1, 1), "roast": (None, 1)}), "a whole number from 0"),
        (PlanVersion("pro", "Pro", START, {"analysis": (1, 1)}), "limits for each kind and no other; see roast"),
    ],
)
def test_what_can_not_be_added_is_refused_with_a_sentence(wanted: PlanVersion, sentence: str) -> None:
    (found,) = version_errors([wanted], [], BUILT_IN, KINDS)
    assert sentence in found


def test_a_plan_may_stand_above_one_that_the_same_document_adds() -> None:
    wanted = [version("team", 1, above="pro"), version("crew", 1, above="team", starts=START + DAY)]
    assert version_errors(wanted, [], BUILT_IN, KINDS) == []
    assert version_errors([wanted[0], wanted[0]], [], BUILT_IN, KINDS) == [
        "Plan 'team': it stands there twice with one start."
    ]
