"""When an account may order one more pack."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from credits_engine.billing.auto_top_ups.rules import (
    COUNTED,
    OPEN,
    AutoTopUp,
    Order,
    OrderState,
    may_order,
    order_key,
    pause_after,
    spent,
)
from tests.test_house import ROOT

NOW = datetime(2026, 11, 10, tzinfo=UTC)


def order(state: OrderState, amount: int | None = 1_000) -> Order:
    return Order(1, "ada", NOW, 1, "k", "p", "cus_ada", None, state, None, None, amount, "eur", None, NOW, 0)


def wanted(most: int = 3, amount_max: int | None = None, stopped_at: datetime | None = None) -> AutoTopUp:
    return AutoTopUp("ada", "p", 20, most, amount_max, NOW, stopped_at)


@given(
    states=st.lists(st.sampled_from(OrderState), max_size=6),
    most=st.integers(1, 6),
    amount_max=st.none() | st.integers(1, 9_000),
    is_stopped=st.booleans(),
)
def test_one_more_never_passes_a_bound_and_waits_for_the_one_before(
    states: list[OrderState], most: int, amount_max: int | None, is_stopped: bool
) -> None:
    orders = [order(state) for state in states]
    if may_order(wanted(most, amount_max, NOW if is_stopped else None), orders):
        assert not is_stopped
        assert not OPEN & set(states)
        assert OrderState.ABOVE_MAX not in states
        assert sum(state in COUNTED for state in states) + 1 <= most
        assert amount_max is None or spent(orders) < amount_max
    else:
        assert is_stopped or states


def test_a_declined_order_does_not_count_and_one_that_nobody_knows_of_does() -> None:
    assert may_order(wanted(1), [order(OrderState.DECLINED)])
    assert not may_order(wanted(1), [order(OrderState.FAILED)])
    assert not may_order(wanted(9, 1_000), [order(OrderState.PAID)])


def test_an_amount_that_nobody_knows_is_within_no_bound() -> None:
    assert may_order(wanted(9), [order(OrderState.FAILED, amount=None)])
    assert not may_order(wanted(9, 5_000), [order(OrderState.FAILED, amount=None)])


def test_whoever_sets_another_bound_is_not_held_to_the_one_before() -> None:
    beyond = replace(order(OrderState.ABOVE_MAX), ordered_at=NOW - timedelta(1))
    assert may_order(wanted(9, 5_000), [beyond])
    assert not may_order(wanted(9, 5_000), [replace(beyond, ordered_at=NOW)])


def test_the_key_is_the_same_for_one_order_and_names_nobody() -> None:
    key = order_key("ada", NOW, 1)
    assert key == order_key("ada", NOW, 1)
    assert len({key, order_key("ada", NOW, 2), order_key("bob", NOW, 1), order_key("ada", NOW + timedelta(1), 1)}) == 4
    assert "ada" not in key


def test_pauses_grow_up_to_an_hour() -> None:
    pauses = [pause_after(attempts) for attempts in range(30)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=10), timedelta(hours=1))


def test_the_docs_say_what_each_state_means() -> None:
    text = (ROOT / "docs" / "credits.md").read_text()
    table = text.partition("| an order is | which means |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))) == {
        each.value for each in OrderState
    }
