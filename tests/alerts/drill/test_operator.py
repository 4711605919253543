"""Which operations of a drill fail, however few there are."""

from datetime import UTC, datetime

import pytest
from flask import Flask

from alerts.drill.faults import FAULTS, DrillAction
from alerts.drill.flag import RULES, rule_on
from alerts.drill.operator import Operator
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals

pytestmark = pytest.mark.database("sqlite")

TIMED = [name for name, fault in FAULTS.items() if fault.expected is DrillAction.ROLLBACK]


@pytest.mark.parametrize("healthy", [0, 3, 20, 499, 500])
def test_what_is_tried_again_fails_from_the_beginning_of_the_fault_on(app: Flask, healthy: int) -> None:
    with app.app_context():
        operate = Operator(FAULTS["retries"], "a-drill")
        failed = [operate(number, is_served=True, broken=number >= healthy) for number in range(healthy + 10)]
    assert failed == [False] * healthy + [True] * 2 + [False] * 8


@pytest.mark.parametrize("name", TIMED)
def test_each_fault_shows_in_the_signal_whose_evidence_it_is_timed_by(app: Flask, name: str) -> None:
    fault = FAULTS[name]
    with app.app_context():
        operate = Operator(fault, "a-drill")
        for number in range(40):
            operate(number, is_served=True, broken=True)
        signals.flush(datetime.now(UTC))
        with read_only() as session:
            bad = {series.signal for series, count in signals.totals(session).items() if count.bad}
    assert bad & {rule.name for rule in RULES} == {rule_on(fault.shows_as).name}
