"""Gates say why they are closed, and when they open where that is certain."""

from datetime import UTC, datetime, time, timedelta

import pytest

from control_plane.core.calendars import Calendar, Freeze, Weekday
from control_plane.core.gates import GateStatus, LastRun, calendar_gate, recency_gate

NOW = datetime(2026, 12, 1, tzinfo=UTC)
OFFICE = Calendar("Europe/Madrid", tuple(Weekday)[:5], time(9), time(17))


def test_a_closed_calendar_says_when_it_opens() -> None:
    found = calendar_gate(OFFICE, datetime(2026, 12, 5, 12, tzinfo=UTC))
    assert (found.status, found.opens_at) == (GateStatus.CLOSED, datetime(2026, 12, 7, 8, tzinfo=UTC))
    assert found.reason == (
        "Nothing moves on a Saturday. It opens on Monday, 07 December 2026 at 09:00 in Europe/Madrid."
    )
    assert calendar_gate(OFFICE, datetime(2026, 12, 7, 8, tzinfo=UTC)).status is GateStatus.OPEN


def test_one_that_stays_closed_for_a_year_says_that() -> None:
    first, last = (datetime.fromisoformat(f"{year}-01-01") for year in (2026, 2036))
    found = calendar_gate(Calendar(freezes=(Freeze(first, last),)), datetime(2026, 6, 1, tzinfo=UTC))
    assert (found.status, found.opens_at) == (GateStatus.CLOSED, None)


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
