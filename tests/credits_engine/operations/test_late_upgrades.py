"""Whoever decides in a period that has rolled over, with a dearer plan by then, spends nothing in both places."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from control_plane.platform.db.database import read_only
from credits_engine.engines.amounts import Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.rolling import take

MARCH, APRIL = (datetime(2027, month, 1, tzinfo=UTC) for month in (3, 4))
INSTANT = timedelta(microseconds=1)


pytestmark = pytest.mark.usefixtures("rollover_of_free")


def test_whoever_is_late_and_gets_a_dearer_plan_spends_nothing_in_both_places(consumer: Consumer) -> None:
    """A process whose clock is behind still decides in March, for which the plan was raised meanwhile."""
    take(consumer, MARCH, "k1", analysis=30)
    take(consumer, APRIL, "k2", analysis=1)
    consumer.user("ada", "starter")
    assert take(consumer, APRIL - INSTANT, "k3", analysis=970).outcome is Outcome.ALLOWED
    assert take(consumer, APRIL - INSTANT, "k4", analysis=1).outcome is Outcome.DENIED_LIMIT
    with read_only() as session:
        march = session.scalar(select(COUNTERS.c.limits).where(COUNTERS.c.period_start == MARCH))
    assert march == Limits(940, 5)
