"""The main job with faults ordered into v2: named, rolled back in time, and nothing lost."""

from itertools import islice
from pathlib import Path

import pytest

from tests.journeys.usage import replay_usage

pytestmark = pytest.mark.faults

FAULT_AT = 4900
ROWS = 5600


@pytest.fixture(scope="module")
def usage(recorded_usage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the year in which the fault strikes."""
    path = tmp_path_factory.mktemp("usage") / "first.csv"
    with recorded_usage.open(encoding="utf-8") as file:
        path.write_text("".join(islice(file, ROWS + 1)), encoding="utf-8")
    return path


def test_double_charges_are_rolled_back_by_the_variance_alert(usage: Path) -> None:
    report = replay_usage(str(usage), "--fault", f"double-charge:0.10@{FAULT_AT}")
    (rollback,) = report["rollbacks"]
    assert rollback["alert"] == "credit_variance"
    assert rollback["after_fault_v2_decisions"] <= 60
    assert rollback["v2_served_after_breach"] == 0
    assert report["reconcile"]["differences"] == 0
    assert report["operations"] == ROWS


def test_failures_are_rolled_back_by_the_failure_alert(usage: Path) -> None:
    report = replay_usage(str(usage), "--fault", f"fail:0.20@{FAULT_AT}")
    (rollback,) = report["rollbacks"]
    assert rollback["alert"] == "credit_consumption_failure"
    assert rollback["after_fault_v2_served"] <= 120
    assert rollback["v2_served_after_breach"] == 0
    assert report["reconcile"]["differences"] == 0


def test_a_tenth_of_the_threshold_rolls_nothing_back(usage: Path) -> None:
    report = replay_usage(str(usage), "--fault", f"fail:0.001@{FAULT_AT}")
    assert report["rollbacks"] == []
    assert report["final_phase"] == "everyone"
    assert report["reconcile"]["differences"] == 0
