from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.amounts import Limits
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.plans import CATALOGUE, Catalogue, CatalogueError, UnknownPlanError, UnknownPriceError

FREE = CATALOGUE.plan("free")


@pytest.mark.parametrize(
    ("name", "v2", "legacy"),
    [
        ("free", Limits(100, 10), Limits(100, 50)),
        ("starter", Limits(1_000, 10), Limits(1_000, 100)),
        ("pro", Limits(10_000, 1_000), Limits(10_000, 1_000)),
        ("plus", Limits(100_000, 5_000), Limits(100_000, 5_000)),
        ("custom", Limits(None, None), Limits(None, None)),
    ],
)
def test_it_grants_what_the_reference_says(name: str, v2: Limits, legacy: Limits) -> None:
    plan = CATALOGUE.plan(name)
    assert (plan.v2, plan.legacy) == (v2, legacy)


def test_an_alias_is_the_same_plan() -> None:
    assert CATALOGUE.plan("starter_trial") is FREE
    assert CATALOGUE.plan("creator_plus") is CATALOGUE.plan("plus")


@given(st.text())
def test_an_unknown_plan_is_named_and_never_becomes_the_free_one(name: str) -> None:
    known = {n for plan in CATALOGUE for n in (plan.name, *plan.aliases)}
    if name in known:
        return
    with pytest.raises(UnknownPlanError) as refusal:
        CATALOGUE.plan(name)
    assert repr(name) in str(refusal.value)


def test_every_price_buys_exactly_one_plan_and_an_unknown_one_is_named() -> None:
    for plan in CATALOGUE:
        assert plan.price_keys, f"{plan.name} can't be bought"
        assert all(CATALOGUE.plan_for_price(key) is plan for key in plan.price_keys)
    with pytest.raises(UnknownPriceError, match="'gold_monthly'"):
        CATALOGUE.plan_for_price("gold_monthly")


def test_a_plan_further_down_the_catalogue_is_an_upgrade() -> None:
    assert CATALOGUE.is_upgrade(FREE, CATALOGUE.plan("pro"))
    assert not CATALOGUE.is_upgrade(CATALOGUE.plan("pro"), FREE)
    assert not CATALOGUE.is_upgrade(FREE, FREE)


def test_a_limit_of_zero_is_legal_and_so_is_none_at_all() -> None:
    catalogue = Catalogue([CreditPlan("nil", "Nil", v2=Limits(0, None), legacy=Limits(None, 0))])
    assert catalogue.plan("nil").v2["analysis"] == 0


@pytest.mark.parametrize("limit", [-1, 1.5, float("nan"), True, "10"])
def test_it_refuses_to_start_on_a_limit_that_is_no_whole_number(limit: Any) -> None:
    broken = replace(FREE, v2=Limits(100, limit))
    with pytest.raises(CatalogueError, match=f"v2 roast limit is {limit!r}"):
        Catalogue([broken])


def test_it_lists_every_mistake_at_once() -> None:
    twin = replace(FREE, name="starter_trial", legacy=Limits(-5, 50))
    with pytest.raises(CatalogueError) as refusal:
        Catalogue([FREE, twin, replace(FREE, name=" ", aliases=(), price_keys=())])
    for part in (
        "'starter_trial' is used 3 times",
        "'free' buys 2 plans",
        "legacy analysis limit is -5",
        "' ' is blank",
    ):
        assert part in str(refusal.value)


def test_an_empty_catalogue_is_refused() -> None:
    with pytest.raises(CatalogueError, match="at least one plan"):
        Catalogue([])
