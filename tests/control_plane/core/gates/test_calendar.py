"""The gate of the calendar says why it is closed and when it opens."""

from datetime import UTC, datetime, time

from control_plane.core.calendars import Calendar, Freeze, Weekday
from control_plane.core.gates import GateStatus
from control_plane.core.gates.calendar import calendar_gate

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
