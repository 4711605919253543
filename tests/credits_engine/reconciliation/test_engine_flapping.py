"""Users who go to and fro between the engines are counted, by hour; one move is nobody's fault."""

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime.hourly import HOUR, LAST_HOURS
from control_plane.rollouts import store
from control_plane.signal_counts import Counts
from credits_engine.reconciliation import engine_flapping
from credits_engine.reconciliation.engine_flapping import SIGNAL
from tests.credits_engine.conftest import Consumer

V2, LEGACY = True, False


@pytest.fixture(autouse=True)
def rollout(consumer: Consumer) -> None:
    """A rollout whose step began with the hour of the first operation."""
    consumer.now = consumer.now.replace(minute=0)
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(consumer.now), ChangeContext(consumer.now, "test", "test"))


def served(consumer: Consumer, user: str, *engines: bool) -> None:
    """Operations of a user, a minute apart, and who served each."""
    consumer.user(user)
    for v2 in engines:
        consumer.v2 = v2
        consumer.now += timedelta(minutes=1)
        consumer.take(user, f"k{consumer.now.isoformat()}", analysis=1)


def counted(consumer: Consumer, hours: int) -> Counts:
    """Return the count once so many hours are over."""
    engine_flapping.count(consumer.now.replace(minute=0) + hours * HOUR)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(SIGNAL), Counts(0, 0))


def test_whoever_comes_back_has_moved_too_often(consumer: Consumer) -> None:
    served(consumer, "ada", V2, V2, LEGACY, V2)
    served(consumer, "bob", LEGACY, LEGACY, V2)
    served(consumer, "eve", V2)
    served(consumer, "joe", LEGACY, V2, LEGACY)
    assert counted(consumer, 0) == Counts(0, 0), "the hour is not over"
    assert counted(consumer, 1) == Counts(2, 4)
    assert counted(consumer, 1) == Counts(2, 4)
    LAST_HOURS.set(consumer.app, {})
    assert counted(consumer, 1) == Counts(2, 4), "another leader does not count the hour again"
    assert counted(consumer, 2) == Counts(2, 4)


def test_a_new_period_is_a_new_beginning(consumer: Consumer) -> None:
    boundary = consumer.now.replace(hour=0, day=1) + timedelta(days=31)
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        after = replace(found, entered_at=boundary - 2 * HOUR, version=found.version + 1)
        assert store.compare_and_set(session, after, expected_version=found.version)
    consumer.user("ada", anchor=boundary.replace(minute=30))
    for minute, v2 in ((10, LEGACY), (20, V2), (40, LEGACY), (50, V2)):
        consumer.v2, consumer.now = v2, boundary.replace(minute=minute)
        consumer.take("ada", f"k{minute}", analysis=1)
    assert counted(consumer, 1) == Counts(0, 1)


def test_what_was_before_the_step_and_what_a_rollback_did_are_no_faults(consumer: Consumer) -> None:
    served(consumer, "ada", V2, LEGACY)
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        after = replace(found, entered_at=consumer.now, version=found.version + 1)
        assert store.compare_and_set(session, after, expected_version=found.version)
    served(consumer, "ada", V2)
    assert counted(consumer, 1) == Counts(0, 1)
    with transaction() as session:
        rollouts.roll_back(session, FLAG, ChangeContext(consumer.now, "test", "drill"))
    consumer.now += HOUR
    served(consumer, "bob", V2, LEGACY, V2)
    assert counted(consumer, 1) == Counts(0, 1), "legacy serves everybody"
