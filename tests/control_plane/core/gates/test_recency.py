"""Gates of what was done lately: open within its days, closed after them, unknown where nothing is recorded."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.core.gates import GateStatus
from control_plane.core.gates.recency import LastRun, recency_gate

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (None, GateStatus.UNKNOWN),
        (LastRun(NOW - timedelta(days=30), passed=True), GateStatus.OPEN),
        (LastRun(NOW - timedelta(days=30, seconds=1), passed=True), GateStatus.CLOSED),
        (LastRun(NOW, passed=False), GateStatus.CLOSED),
    ],
)
def test_it_is_as_old_as_the_last_one_that_passed(last: LastRun | None, status: GateStatus) -> None:
    found = recency_gate("drill", "A drill of the guard", 30, last, NOW)
    assert (found.name, found.status) == ("drill", status)
    assert found.reason.startswith("A drill of the guard")
