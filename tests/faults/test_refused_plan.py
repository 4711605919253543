"""One plan's limit of v2 is wrong: nobody declared that, so it is v2's fault, and not a policy."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask

from control_plane.core.phases import Position, RolloutState
from credits_engine.engines.amounts import Limits
from credits_engine.engines.plans import CATALOGUE, Catalogue
from credits_engine.operations import account_books
from tests.faults.product import USERS, Product

SHADOW, HALF, EVERYBODY = Position(0, 0), Position(3, 2), Position(3, 3)
REFUSED, VARIANCE = "credit_refused_by_v2_only", "credit_variance"


@pytest.fixture
def begin(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Position], Product]]:
    with app.app_context():
        yield lambda position: Product(app, monkeypatch, service_token, position, plan="starter")


Begin = Callable[[Position], Product]


def grant(product: Product, v2: Limits) -> None:
    """Let v2 grant this to plan starter from now on, as a mistake in its table would."""
    plans = [replace(plan, v2=v2) if plan.name == "starter" else plan for plan in CATALOGUE]
    product.patch.setattr(account_books, "CATALOGUE", Catalogue(plans))


def ask_until_stopped(product: Product, operations: int, *, kind: str = "analysis", amount: int = 1) -> int:
    """Ask for one user after the other until the guard acts; how many were asked."""
    for number in range(operations):
        product.ask(f"u{USERS // 2 + number}", kind=kind, amount=amount)
        product.watch()
        if product.rollout.state is not RolloutState.RUNNING:
            return number + 1
    return operations + 1


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("position", "state"),
    [(SHADOW, RolloutState.HELD), (HALF, RolloutState.ROLLED_BACK), (EVERYBODY, RolloutState.ROLLED_BACK)],
)
def test_a_plan_that_v2_refuses_everything_is_stopped_within_ten(
    begin: Begin, position: Position, state: RolloutState
) -> None:
    product = begin(position)
    product.operate(100)
    grant(product, Limits(0, 10))
    assert ask_until_stopped(product, 50) <= 10
    product.watch()
    assert product.rollout.state in {state, RolloutState.HELD}
    assert " operations of plan starter were refused by v2 and granted by legacy. " in product.verdict(REFUSED).reason


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("v2", "kind"), [(Limits(1_000, 9), "roast"), (Limits(999, 10), "analysis")])
def test_a_difference_of_another_size_or_kind_than_was_declared_excuses_nothing(
    begin: Begin, v2: Limits, kind: str
) -> None:
    product = begin(SHADOW)
    grant(product, v2)
    limit = v2[kind] or 0
    assert ask_until_stopped(product, 20, kind=kind, amount=limit + 1) <= 10
    assert product.verdict(VARIANCE).counts.bad


def test_a_declared_difference_stops_nothing(begin: Begin) -> None:
    product = begin(HALF)
    assert ask_until_stopped(product, 40, kind="roast", amount=11) > 40
    assert (product.verdict(REFUSED).counts.bad, product.verdict(VARIANCE).counts.bad) == (0, 0)
    assert product.verdict(VARIANCE).counts.total == 40
