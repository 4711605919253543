"""Hosts whose clocks are ten minutes apart, and clocks that are set back.

The clock of the host that answers decides, as it decides everything else of that answer. So what must hold is that no
two clocks make two allowances of one, lose a credit, or let periods overlap.
"""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.periods import billing_period, calendar_month
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from credits_engine.operations.reservations import FinalizedDifferentlyError
from credits_engine.store import migration
from tests.credits_engine.conftest import V2_SERVES, Consumer
from tests.faults.ledger import amounts, assert_whole

SKEW = timedelta(minutes=10)
ANCHOR = datetime(2026, 1, 31, 12, tzinfo=UTC)
BOUNDARIES = {"calendar": (None, datetime(2026, 12, 1, tzinfo=UTC)), "anchored": (ANCHOR, ANCHOR.replace(month=3))}
OPERATIONS = 60


def opened(consumer: Consumer, name: str) -> datetime:
    """Return a user of the free plan whose period ends at the instant that is returned."""
    anchor, boundary = BOUNDARIES[name]
    consumer.user("ada", anchor=anchor)
    return boundary


def assert_each_in_its_period(consumer: Consumer) -> None:
    """Assert that each operation lies in the period it was charged to, and that none was charged beyond its limit."""
    spent: dict[object, Amounts] = defaultdict(Amounts)
    for row in assert_whole(consumer.app):
        for engine in EngineName:
            start, end = row[f"{engine}_period_start"], row[f"{engine}_period_end"]
            assert start <= row["occurred_at"] < end, row["id"]
        if row["served_engine"] == EngineName.V2:
            spent[row["v2_period_start"]] += amounts(row, "charged")
    limits = CATALOGUE.plan("free").v2
    assert all(each["analysis"] <= (limits["analysis"] or 0) for each in spent.values()), spent
    with read_only() as session:
        assert migration.overlapping(session) == []


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("seed", range(3))
def test_clocks_ten_minutes_apart_charge_each_operation_to_one_period_once(
    consumer: Consumer, name: str, seed: int
) -> None:
    boundary, dice = opened(consumer, name), random.Random(seed)
    true = boundary - 2 * SKEW
    consumer.v2 = True
    for number in range(OPERATIONS):
        true += timedelta(seconds=dice.uniform(0, 80))
        consumer.now = true + dice.choice((-SKEW, timedelta(), SKEW))
        receipt = consumer.take("ada", f"k{number}", analysis=dice.randrange(1, 9))
        assert consumer.now in receipt.served.period
        consumer.now -= dice.choice((timedelta(), 2 * SKEW))
        assert (
            consumer.take("ada", f"k{number}", analysis=receipt.requested["analysis"]).journal_id == receipt.journal_id
        )
    assert_each_in_its_period(consumer)
    starts = {row["v2_period_start"] for row in consumer.journal("ada")}
    anchor = BOUNDARIES[name][0]
    around = [boundary - timedelta(seconds=1), boundary]
    assert starts == {(billing_period(anchor, at) if anchor else calendar_month(at)).start for at in around}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_a_clock_that_is_set_back_across_the_boundary_finds_the_old_period_as_it_was(
    consumer: Consumer, name: str
) -> None:
    boundary = opened(consumer, name)
    consumer.v2 = True
    consumer.now = boundary - timedelta(seconds=1)
    consumer.take("ada", "k1", analysis=100)
    consumer.now = boundary + timedelta(seconds=2)
    assert consumer.take("ada", "k2", analysis=100).outcome is Outcome.ALLOWED
    consumer.now -= timedelta(seconds=5)
    assert consumer.take("ada", "k3", analysis=1).outcome is Outcome.DENIED_LIMIT, "nothing came back with the old time"
    consumer.now += timedelta(seconds=5)
    assert consumer.take("ada", "k4", analysis=1).outcome is Outcome.DENIED_LIMIT
    assert_each_in_its_period(consumer)


def reserved(consumer: Consumer, key: str, *, at: datetime) -> None:
    operation = Operation("ada", key, Amounts(10, 0), actor="test", type=EntryType.RESERVE)
    with transaction() as session:
        receipt = reservations.reserve(session, operation, now=at, evaluate=lambda _: V2_SERVES)
    assert receipt.granted


def test_what_one_host_reserved_a_host_behind_it_settles_in_the_period_that_was_charged(consumer: Consumer) -> None:
    boundary = opened(consumer, "calendar")
    reserved(consumer, "k1", at=boundary + SKEW)
    with transaction() as session:
        reservations.commit(session, "ada", "k1", now=boundary - SKEW, actor="test", amounts=Amounts(4, 0))
    rows = assert_whole(consumer.app)
    assert {row["v2_period_start"] for row in rows} == {boundary}
    assert sum((amounts(row, "v2_posted") for row in rows), NOTHING) == Amounts(4, 0)


def test_a_host_too_far_ahead_ends_a_reservation_early_and_charges_nothing(consumer: Consumer) -> None:
    boundary = opened(consumer, "calendar")
    reserved(consumer, "k1", at=boundary - SKEW)
    ahead = boundary - SKEW + reservations.DEFAULT_TTL
    with transaction() as session, pytest.raises(FinalizedDifferentlyError):
        reservations.commit(session, "ada", "k1", now=ahead, actor="test")
    with transaction() as session:
        assert reservations.expire(session, "ada", "k1", now=ahead) is not None
    with transaction() as session, pytest.raises(FinalizedDifferentlyError):
        reservations.commit(session, "ada", "k1", now=boundary - SKEW, actor="test")
    assert sum((amounts(row, "v2_posted") for row in assert_whole(consumer.app)), NOTHING) == NOTHING
