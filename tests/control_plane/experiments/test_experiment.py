from itertools import count
from typing import Any

import pytest

from control_plane.experiments.experiment import Difference, Experiment
from control_plane.experiments.migration import Migration
from control_plane.experiments.publication import outcome_signals
from control_plane.experiments.shadow_budget import OVERRUNS
from control_plane.platform.observability.signals import Sample

PRICES = Migration.named("ENABLE_PRICES_V2", control="list", candidate="tiered", prefix="price")
SERVES = pytest.mark.parametrize("candidate_serves", [False, True], ids=["control serves", "candidate serves"])
Basket = list[int]


def total(basket: Basket) -> int:
    return sum(basket)


def failing(_basket: Basket) -> int:
    raise KeyError("no price")


def mutating(basket: Basket) -> int:
    basket.clear()
    raise MemoryError


def experiment(**changes: Any) -> Experiment[Basket, int]:
    arguments: dict[str, Any] = {"migration": PRICES, "control": total, "candidate": total}
    return Experiment(**arguments | changes)


def beside(shadow: Any, *, candidate_serves: bool) -> Experiment[Basket, int]:
    """Return an experiment whose shadow is `shadow`, whichever side serves."""
    return experiment(**{"control" if candidate_serves else "candidate": shadow})


@SERVES
@pytest.mark.parametrize("shadow", [failing, mutating])
def test_a_shadow_that_fails_reaches_nobody(shadow: Any, candidate_serves: bool) -> None:
    basket = [1, 2]
    result = beside(shadow, candidate_serves=candidate_serves).run(basket, candidate_serves=candidate_serves)
    assert (result.answer(), basket) == (3, [1, 2])
    assert (result.shadow.failed, result.difference) == (True, Difference.NOT_COMPARED)


@SERVES
def test_the_side_that_serves_fails_as_without_an_experiment(candidate_serves: bool) -> None:
    result = beside(failing, candidate_serves=not candidate_serves).run([1], candidate_serves=candidate_serves)
    with pytest.raises(KeyError, match="no price"):
        result.answer()
    assert result.shadow.decision == 1


def test_a_side_that_serves_and_changes_its_request_changes_nothing_for_the_shadow() -> None:
    result = experiment(control=lambda basket: basket.pop() + basket.pop()).run([1, 2], candidate_serves=False)
    assert (result.served.decision, result.shadow.decision, result.difference) == (3, 3, Difference.MATCH)


def test_a_request_that_no_shadow_can_get_a_copy_of_is_still_served() -> None:
    result = experiment(copy=failing).run([1, 2], candidate_serves=False)
    assert (result.answer(), result.shadow.failed) == (3, True)


@SERVES
def test_a_difference_is_a_mismatch_unless_it_is_wanted(candidate_serves: bool) -> None:
    dearer = experiment(candidate=lambda basket: sum(basket) + 1)
    assert dearer.run([1], candidate_serves=candidate_serves).difference is Difference.MISMATCH
    wanted = experiment(candidate=lambda basket: sum(basket) + 1, ignore=lambda _, old, new: new == old + 1)
    assert wanted.run([1], candidate_serves=candidate_serves).difference is Difference.IGNORED


@pytest.mark.parametrize("broken", [{"compare": lambda _old, _new: 1 / 0}, {"ignore": lambda *_: 1 / 0}])
def test_a_comparison_that_fails_reaches_nobody(broken: dict[str, Any]) -> None:
    result = experiment(candidate=lambda _: 0, **broken).run([1], candidate_serves=False)
    assert (result.answer(), result.difference) == (1, Difference.NOT_COMPARED)


def test_what_is_no_decision_is_a_failure_of_its_side() -> None:
    checked = experiment(candidate=lambda _: -1, check=lambda price: "below zero" if price == -1 else None)
    result = checked.run([1], candidate_serves=False)
    assert (result.shadow.decision, result.shadow.error, result.shadow.failed) == (None, "below zero", True)
    with pytest.raises(ValueError, match="below zero"):
        checked.run([1], candidate_serves=True).answer()


def test_a_decision_may_be_none() -> None:
    def decide(_basket: Basket) -> int | None:
        return None

    result = Experiment(PRICES, decide, decide).run([1], candidate_serves=True)
    assert (result.answer(), result.difference) == (None, Difference.MATCH)


def test_a_shadow_that_takes_too_long_is_skipped_after_a_few_requests() -> None:
    ticks = count(0, 20_000_000)
    slow = experiment(timer=lambda: next(ticks))
    results = [slow.run([1], candidate_serves=False) for _ in range(OVERRUNS + 1)]
    assert [result.shadow.skipped for result in results] == [False] * OVERRUNS + [True]
    assert results[-1].answer() == 1


def test_a_candidate_that_is_too_slow_as_the_shadow_is_still_compared_where_it_serves() -> None:
    """A control that was skipped along with it would leave the slow candidate without anything to be held against."""
    clock = [0]

    def slow(basket: Basket) -> int:
        clock[0] += 20_000_000
        return sum(basket)

    tried = experiment(candidate=slow, timer=lambda: clock[0])
    for _ in range(OVERRUNS):
        assert not tried.run([1], candidate_serves=False).shadow.skipped
    assert tried.run([1], candidate_serves=False).shadow.skipped
    assert tried.run([1], candidate_serves=True).difference is Difference.MATCH


def bad(result: Any) -> set[tuple[str, str, str]]:
    samples = outcome_signals(PRICES, result, account="u1")
    return {(sample.signal, sample.engine, sample.role) for sample in samples if sample.bad}


def test_a_failure_is_counted_under_its_own_side_and_as_one_sided() -> None:
    result = experiment(candidate=failing).run([1], candidate_serves=False)
    assert bad(result) == {
        ("price_failure", "tiered", "shadow"),
        ("price_failed_candidate_only", "", "served"),
        ("price_shadow_skipped", "list", "served"),
    }
    result = experiment(control=failing).run([1], candidate_serves=False)
    assert ("price_failed_control_only", "", "served") in bad(result)


def test_a_failure_that_both_share_is_one_sided_for_neither() -> None:
    names = {name for name, _, _ in bad(experiment(control=failing, candidate=failing).run([1], candidate_serves=True))}
    assert names == {"price_serving_failure", "price_failure", "price_shadow_skipped"}


def test_a_mismatch_is_bad_and_what_is_not_compared_owes_no_comparison() -> None:
    differing = experiment(candidate=lambda _: 7).run([1], candidate_serves=True)
    assert bad(differing) == {("price_difference", "", "served")}
    uncompared = outcome_signals(PRICES, experiment(control=failing).run([1], candidate_serves=True), account="u1")
    assert Sample("price_comparison_missing", bad=False, engine="tiered") in uncompared
    assert not any(sample.signal in ("price_difference", "price_outcome_missing") for sample in uncompared)


def test_a_request_that_failed_owes_no_good_outcome() -> None:
    failed = outcome_signals(PRICES, experiment(candidate=failing).run([1], candidate_serves=True), account="u1")
    assert Sample("price_outcome_missing", bad=False, engine="tiered") in failed
