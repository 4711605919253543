import pytest

from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.declared_differences import is_excused
from credits_engine.engines.plans import CATALOGUE

STARTER, PRO, FREE = (CATALOGUE.plan(name) for name in ("starter", "pro", "free"))
ANALYSIS, ROAST, BOTH = Amounts(1, 0), Amounts(0, 1), Amounts(1, 1)
TABLE = "policy:limit_table"


def excused(v2: Limits, asked: Amounts, cause: str = TABLE, legacy: Limits = STARTER.legacy) -> bool:
    return is_excused(Comparison(Variance.POLICY, cause), asked, v2=v2, legacy=legacy)


def test_every_difference_of_the_catalogue_is_declared() -> None:
    for plan in CATALOGUE:
        assert excused(plan.v2, BOTH, legacy=plan.legacy), plan.name


@pytest.mark.parametrize(
    ("v2", "asked"),
    [(Limits(0, 10), ANALYSIS), (Limits(1_000, 9), ROAST), (Limits(1_000, 11), ROAST), (Limits(0, 10), BOTH)],
)
def test_another_size_is_not(v2: Limits, asked: Amounts) -> None:
    assert not excused(v2, asked)


def test_a_difference_of_another_kind_says_nothing_about_the_kind_asked_for() -> None:
    assert excused(Limits(0, 10), ROAST)


def test_a_downgrade_that_waits_for_the_next_period_is_declared_and_an_upgrade_is_none() -> None:
    assert excused(PRO.v2, BOTH)
    assert not excused(FREE.v2, ANALYSIS)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("policy:window", True),
        ("policy:state", True),
        ("policy:limit_table|window", True),
        ("policy:limit_table+window", False),
    ],
)
def test_windows_and_states_are_declared_for_every_plan(cause: str, expected: bool) -> None:
    assert excused(Limits(0, 10), ANALYSIS, cause) is expected


def test_a_plan_that_the_catalogue_does_not_have_has_declared_nothing() -> None:
    assert not excused(Limits(5, 5), ANALYSIS, legacy=Limits(7, 7))


@pytest.mark.parametrize("variance", [each for each in Variance if each is not Variance.POLICY])
def test_only_a_policy_can_be_excused(variance: Variance) -> None:
    assert not is_excused(Comparison(variance), ANALYSIS, v2=STARTER.v2, legacy=STARTER.legacy)
