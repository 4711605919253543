"""Which operations of a drill fail, however few there are."""

import pytest
from flask import Flask

from alerts.drill.faults import FAULTS
from alerts.drill.operator import Operator

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize("healthy", [0, 3, 20, 499, 500])
def test_what_is_tried_again_fails_from_the_beginning_of_the_fault_on(app: Flask, healthy: int) -> None:
    with app.app_context():
        operate = Operator(FAULTS["retries"], "a-drill")
        failed = [operate(number, is_served=True, broken=number >= healthy) for number in range(healthy + 10)]
    assert failed == [False] * healthy + [True] * 2 + [False] * 8
