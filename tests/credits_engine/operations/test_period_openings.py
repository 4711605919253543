"""Periods opened for many users at once: the same as each one's own operation would have opened, and never twice."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books
from credits_engine.operations.period_openings import OpenedPeriods, open_missing_periods
from credits_engine.store import accounts, migration
from credits_engine.store.tables import COUNTERS, LEGACY
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.statements import wait_until_somebody_waits

DAY = timedelta(days=1)
TAKERS = 4
ANCHORS = st.none() | st.integers(-24_000, 24_000).map(lambda hours: NOW + timedelta(hours=hours))
NUMBERS = itertools.count()


@dataclass(frozen=True)
class AnchorHistory:
    """The history of a user whose anchor was changed once: the days from now on which periods opened before that."""

    plan: str
    first_anchor: datetime | None
    anchor: datetime | None
    opened_on: tuple[int, ...]

    def lived_by(self, consumer: Consumer, user: str) -> str:
        """Lead it."""
        consumer.user(user, self.plan, anchor=self.first_anchor)
        for day in self.opened_on:
            opened_together(user, now=NOW + day * DAY)
        return consumer.user(user, self.plan, anchor=self.anchor)


DAYS = st.lists(st.integers(-400, 400), max_size=3).map(tuple)
LIVES = st.builds(AnchorHistory, st.sampled_from(("free", "starter", "pro", "custom")), ANCHORS, ANCHORS, DAYS)


def opened_together(*users: str, now: datetime = NOW) -> OpenedPeriods:
    with transaction() as session:
        return open_missing_periods(session, sorted(users), now)


def opened_by_operation(user: str) -> None:
    """Open the period as an operation does, in a transaction of its own."""
    with transaction() as session:
        open_for(session, user)


def open_for(session: Session, user: str) -> None:
    """Open the period in a transaction that goes on."""
    found = accounts.find(session, user)
    assert found is not None
    account_books.load_for_update(session, found[0], key="", now=NOW)


def rows(user: str) -> list[list[tuple[object, ...]]]:
    """Return a user's rows in both books, without the user's name."""
    with read_only() as session:
        return [
            [
                tuple(row)[1:]
                for row in session.execute(select(table).filter_by(user_id=user).order_by(*table.primary_key))
            ]
            for table in (COUNTERS, LEGACY)
        ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(LIVES, min_size=1, max_size=5))
def test_what_is_opened_together_is_what_each_operation_opens(consumer: Consumer, lives: list[AnchorHistory]) -> None:
    together = [life.lived_by(consumer, f"together{next(NUMBERS)}") for life in lives]
    alone = [life.lived_by(consumer, f"alone{next(NUMBERS)}") for life in lives]
    opened = {opening.user_id for opening in opened_together(*together).openings}
    for user, other in zip(together, alone, strict=True):
        opened_by_operation(other)
        # Whose period runs already is left alone: a month of legacy that lacks its row is for the next operation.
        assert rows(user)[: 2 if user in opened else 1] == rows(other)[: 2 if user in opened else 1]
    assert opened_together(*together).openings == []


def test_whoever_has_a_plan_that_nobody_knows_is_named_and_holds_up_nobody(consumer: Consumer) -> None:
    users = [consumer.user("ada"), consumer.user("bob", "galaxy"), consumer.user("cleo")]
    done = opened_together(*users)
    assert [opening.user_id for opening in done.openings] == ["ada", "cleo"]
    assert isinstance(done.refused["bob"], UnknownPlanError)
    assert rows("bob") == [[], []]


@pytest.mark.database("postgresql")
def test_the_clock_waits_for_an_opening_under_way_and_leaves_it_alone(consumer: Consumer) -> None:
    users = [consumer.user("ada"), consumer.user("bob")]
    opened: list[str] = []

    def roll() -> None:
        with consumer.app.app_context():
            opened.extend(opening.user_id for opening in opened_together(*users).openings)

    clock = Thread(target=roll)
    with transaction() as session:
        open_for(session, "ada")
        clock.start()
        wait_until_somebody_waits()
    clock.join()
    assert opened == ["bob"]
    assert [len(found) for found in rows("ada")] == [1, 1]


def test_operations_and_the_clock_that_open_the_same_periods_open_each_once(consumer: Consumer) -> None:
    """At every month's turn all users are without a period, and some of them consume while the clock goes round."""
    users = [consumer.user(f"user{number:02}") for number in range(40)]
    done = Event()

    def roll() -> None:
        with consumer.app.app_context():
            for month in range(1, 13):
                period_sweep.PeriodSweep().tick(datetime(2028, month, 1, tzinfo=UTC))
        done.set()

    def take(number: int) -> None:
        with consumer.app.app_context():
            taker = Consumer(consumer.app)
            for month in range(1, 13):
                taker.now = datetime(2028, month, 1, tzinfo=UTC)
                for user in users[number::TAKERS]:
                    taker.take(user, f"k{month}", analysis=1)

    threads = [Thread(target=roll), *(Thread(target=take, args=(number,)) for number in range(TAKERS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.is_set()
    for user in users:
        v2, legacy = rows(user)
        assert len(v2) == len(legacy) == 12
    with read_only() as session:
        assert migration.overlapping(session) == []
        used = session.execute(select(COUNTERS.c.used)).scalars().all()
    assert set(used) == {Amounts(1, 0)}


def test_a_page_that_cannot_be_opened_does_not_keep_the_next_one_waiting(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(users: tuple[str, ...], now: datetime) -> int:
        if "ada" in users:
            raise RuntimeError("disk full")
        return sweep_opened(users, now)

    sweep_opened = period_sweep._open
    monkeypatch.setattr(period_sweep, "PAGE", 1)
    monkeypatch.setattr(period_sweep, "_open", opened)
    consumer.user("ada")
    consumer.user("bob")
    roll = period_sweep.PeriodSweep()
    with pytest.raises(RuntimeError, match="disk full"):
        roll.tick(NOW)
    assert roll.tick(NOW) == 1
    assert [len(found) for found in rows("bob")] == [1, 1]
