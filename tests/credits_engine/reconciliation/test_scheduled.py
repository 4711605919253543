from datetime import timedelta

from sqlalchemy import update

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.observability.telemetry import exposition
from control_plane.signal_counts import Counts
from credits_engine.engines.amounts import Amounts
from credits_engine.reconciliation import scheduled
from credits_engine.reconciliation.invariants import DIFFERENCE
from credits_engine.store.tables import LEGACY
from tests.credits_engine.conftest import Consumer


def cause(consumer: Consumer) -> str | None:
    with read_only() as session:
        return scheduled.due(session, consumer.now)


def test_the_books_are_compared_at_first_daily_then_hourly_and_right_after_a_rollback(consumer: Consumer) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(consumer.now), ChangeContext(consumer.now, "test", "test"))
    assert cause(consumer) == "daily"
    scheduled.check_books(consumer.now, "daily")
    consumer.now += timedelta(minutes=10)
    assert cause(consumer) is None
    with transaction() as session:
        rollouts.roll_back(session, FLAG, ChangeContext(consumer.now, "test", "drill"))
    consumer.now += timedelta(seconds=1)
    assert cause(consumer) == "rollback"
    scheduled.check_books(consumer.now, "rollback")
    assert cause(consumer) is None
    consumer.now += timedelta(hours=1)
    assert cause(consumer) == "schedule"


def test_a_difference_reaches_the_guard_and_prometheus(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=3)
    assert scheduled.check_books(consumer.now, "demand").clean
    with transaction() as session:
        session.execute(update(LEGACY).values(used=Amounts(analysis=4)))
    assert scheduled.check_books(consumer.now, "demand").found == 1
    signals.flush(consumer.now)
    with read_only() as session:
        totals = signals.totals(session)
    assert (totals[SeriesKey(DIFFERENCE)], totals[SeriesKey(DIFFERENCE, "legacy")]) == (Counts(0, 1), Counts(1, 1))
    assert "rollout_credit_reconcile_differences 1.0" in exposition().decode()
