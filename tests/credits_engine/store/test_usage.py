"""Usage added up by day, engine, plan and cohort, and the days that stand out."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from control_plane.migrations import downgrade, upgrade
from control_plane.platform.db.database import db, read_only, transaction
from credits_engine.administration import usage_rollup
from credits_engine.administration.analytics import changes
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.operations import reservations
from credits_engine.store import running_totals, usage
from credits_engine.store.tables import USERS
from credits_engine.store.usage import Segment, UsageRow
from tests.credits_engine.api.test_administration import Admin, admin, found
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.operations.test_reservations import Reservations
from tests.statements import noted

__all__ = ["admin"]

START = datetime(2027, 3, 1, tzinfo=UTC)


def day(number: int, analysis: int) -> UsageRow:
    return UsageRow(f"2027-03-{number:02}", "v2", "free", "", 1, 0, 0, Amounts(1, 0), Amounts(analysis, 0))


def stand_out(*rows: UsageRow, days: int) -> list[tuple[str, str]]:
    return [(each.day, each.direction) for each in changes(rows, since=START, until=START + timedelta(days=days))]


def test_usage_is_added_up_by_day_engine_and_plan(admin: Admin, consumer: Consumer) -> None:
    consumer.user("bob", "pro")
    consumer.take("ada", "k1", analysis=5)
    consumer.take("ada", "k2", roast=51)
    consumer.v2 = True
    consumer.take("bob", "k1", analysis=7, roast=1)
    today = consumer.now.strftime("%Y-%m-%d")
    days = found(admin.get("analytics"))["days"]
    assert [(row["day"], row["engine"], row["plan"], row["allowed"], row["denied"]) for row in days] == [
        (today, "legacy", "free", 1, 1),
        (today, "v2", "pro", 1, 0),
    ]
    assert [(row["analysis"], row["roast"], row["roast_operations"]) for row in days] == [(5, 0, 0), (7, 1, 1)]
    assert "cohort" not in days[0]
    assert [row["analysis"] for row in admin.csv_rows("analytics?format=csv")] == ["5", "7"]


def test_usage_is_divided_by_what_is_asked_for(admin: Admin, consumer: Consumer) -> None:
    consumer.user("bob")
    with transaction() as session:
        since = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
        session.execute(update(USERS).where(USERS.c.user_id == "bob").values(signed_up_at=since))
    consumer.take("ada", "k1", analysis=5)
    consumer.take("bob", "k1", analysis=7)
    (total,) = found(admin.get("analytics?by=engine"))["days"]
    assert (total["engine"], total["analysis"]) == ("legacy", 12)
    cohorts = found(admin.get("analytics?by=cohort"))["days"]
    assert [(row["cohort"], row["analysis"]) for row in cohorts] == [("2026-12", 7), ("2027-03", 5)]
    assert admin.get("analytics?by=phase").get_json()["code"] == "UNKNOWN_SEGMENT"
    assert admin.csv_rows("analytics?by=cohort&format=csv")[0]["cohort"] == "2026-12"


def test_what_was_given_back_is_not_usage(consumer: Consumer) -> None:
    consumer.user("ada")
    desk = Reservations(consumer)
    desk.reserve(analysis=9)
    with transaction() as session:
        reservations.commit(session, "ada", "r1", now=consumer.now, actor="test", amounts=Amounts(4, 0))
    with read_only() as session:
        (row,) = usage.daily_usage(session, since=consumer.now, until=consumer.now + timedelta(seconds=1))
        assert (row.allowed, row.credits["analysis"]) == (1, 4)
        assert (
            usage.daily_usage(
                session, since=consumer.now + timedelta(seconds=1), until=consumer.now + timedelta(days=9)
            )
            == []
        )


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("by", [frozenset(Segment), frozenset({Segment.ENGINE})])
def test_only_the_days_asked_for_are_read(consumer: Consumer, by: frozenset[Segment]) -> None:
    with noted() as sent, read_only() as session:
        usage.daily_usage(session, by, since=consumer.now, until=consumer.now + timedelta(days=1))
        ((statement, parameters),) = [each for each in sent if "credit_journal" in each[0]]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert any("ix_credit_journal_occurred (occurred_at>? AND occurred_at<?)" in row[3] for row in plan), plan


def test_days_that_stand_out_are_named() -> None:
    usual = [day(number, 100) for number in range(1, 6)]
    assert stand_out(*usual, days=5) == []
    assert stand_out(*usual, day(6, 250), day(7, 30), days=7) == [("2027-03-06", "spike"), ("2027-03-07", "drop")]


def test_a_day_on_which_nothing_was_consumed_is_a_drop() -> None:
    usual = [day(number, 100) for number in range(1, 6)]
    assert stand_out(*usual, day(7, 100), days=7) == [("2027-03-06", "drop")]


def test_a_day_that_is_not_over_is_no_drop() -> None:
    rows = [*(day(number, 100) for number in range(1, 6)), day(6, 3)]
    until = START + timedelta(days=5, hours=1)
    assert changes(rows, since=START, until=until) == []


@given(amounts=st.lists(st.integers(100, 199), max_size=20))
def test_days_that_differ_by_less_than_the_ratios_never_stand_out(amounts: list[int]) -> None:
    rows = [day(number, amount) for number, amount in enumerate(amounts, start=1)]
    assert stand_out(*rows, days=len(rows)) == []


FIRST = datetime(2027, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BY = (frozenset(Segment), frozenset({Segment.DAY}), frozenset({Segment.ENGINE, Segment.COHORT}), frozenset[Segment]())


def consumed(consumer: Consumer, operations: int, *, seed: int = 0) -> None:
    """Operations of two users over some ten days, not in the order of time."""
    dice = random.Random(seed)
    for user, plan in (("ada", "free"), ("bob", "pro")):
        consumer.user(user, plan)
    for number in range(operations):
        consumer.now = FIRST + timedelta(hours=dice.uniform(0, 240))
        consumer.v2 = dice.random() < 0.5
        consumer.take(dice.choice(("ada", "bob")), f"s{seed}k{number}", dice.randrange(1, 60), dice.randrange(9))


def usage_of(by: frozenset[Segment], since: datetime, until: datetime) -> list[UsageRow]:
    with read_only() as session:
        return usage.daily_usage(session, by, since=since, until=until)


def straight(by: frozenset[Segment], since: datetime, until: datetime) -> list[UsageRow]:
    """Read the usage from the journal alone."""
    with read_only() as session:
        return usage._merge(usage._between(session, by, since, until))


def spans() -> list[tuple[datetime, datetime]]:
    dice = random.Random(7)
    ends = [FIRST + timedelta(hours=dice.choice((0, 24, 24, 1)) * dice.randrange(11)) for _ in range(24)]
    return [(min(pair), max(pair)) for pair in zip(ends[::2], ends[1::2], strict=True)] + [(FIRST, FIRST + 20 * DAY)]


def assert_as_the_journal() -> None:
    for by in BY:
        for since, until in spans():
            assert usage_of(by, since, until) == straight(by, since, until), (by, since, until)


def test_wherever_the_mark_stands_the_days_say_what_the_journal_says(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumed(consumer, 30)
    assert_as_the_journal()
    monkeypatch.setattr(running_totals, "ROWS_AT_ONCE", 11)
    for _ in range(4):
        with transaction() as session:
            usage.roll_up(session)
        assert_as_the_journal()


def test_what_occurred_on_a_day_that_is_added_up_already_is_added_to_it(consumer: Consumer) -> None:
    consumed(consumer, 10)
    usage_rollup.roll_up_usage()
    consumed(consumer, 10, seed=1)
    assert_as_the_journal()
    usage_rollup.roll_up_usage()
    assert_as_the_journal()


def test_a_plan_counts_as_it_was_when_the_operation_was_added_up(consumer: Consumer) -> None:
    consumer.user("ada", "free")
    consumer.now = FIRST
    consumer.take("ada", "k1", analysis=1)
    usage_rollup.roll_up_usage()
    consumer.user("ada", "pro")
    consumer.take("ada", "k2", analysis=2)
    by = frozenset({Segment.PLAN})
    assert [(row.plan, row.credits["analysis"]) for row in usage_of(by, FIRST, FIRST + DAY)] == [
        ("free", 1),
        ("pro", 2),
    ]
    usage_rollup.roll_up_usage()
    assert [(row.plan, row.credits["analysis"]) for row in usage_of(by, FIRST, FIRST + DAY)] == [
        ("free", 1),
        ("pro", 2),
    ]


def test_adding_up_again_adds_nothing(consumer: Consumer) -> None:
    consumed(consumer, 10)
    reached = usage_rollup.roll_up_usage()
    before = usage_of(frozenset(Segment), FIRST, FIRST + 20 * DAY)
    assert usage_rollup.roll_up_usage() == reached
    assert usage_of(frozenset(Segment), FIRST, FIRST + 20 * DAY) == before


def test_days_are_added_up_again_after_going_down_and_up(consumer: Consumer) -> None:
    consumed(consumer, 10)
    usage_rollup.roll_up_usage()
    downgrade("0013")
    upgrade()
    assert_as_the_journal()
    usage_rollup.roll_up_usage()
    assert_as_the_journal()


@pytest.mark.database("sqlite")
def test_of_whole_days_no_journal_row_is_read_but_those_behind_the_mark(consumer: Consumer) -> None:
    consumed(consumer, 10)
    usage_rollup.roll_up_usage()
    with noted() as sent, read_only() as session:
        usage.daily_usage(session, since=FIRST, until=FIRST + 5 * DAY)
        ((statement, parameters),) = [each for each in sent if "credit_journal" in each[0]]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert "SEARCH credit_journal USING INTEGER PRIMARY KEY (rowid>?)" in plan
    assert not any("SCAN credit_journal" in each or "ix_credit_journal" in each for each in plan), plan


@pytest.mark.database("postgresql")
def test_no_day_is_closed_to_a_row_that_is_still_being_written(consumer: Consumer) -> None:
    """A transaction that drew its number before commits after everything that was numbered later."""
    consumed(consumer, 5)
    usage_rollup.roll_up_usage()
    with db.engine.connect() as slow, slow.begin():
        slow.execute(text("SELECT * FROM credit_pack FOR UPDATE"))
        slow.execute(text("SELECT nextval('credit_journal_id_seq')"))
        slow.execute(text("SELECT pg_current_xact_id()"))
        consumed(consumer, 5, seed=1)
        with read_only() as session:
            newest = session.scalar(text("SELECT max(id) FROM credit_journal"))
        assert usage_rollup.roll_up_usage() < newest
        assert_as_the_journal()
    assert usage_rollup.roll_up_usage() == newest
    assert_as_the_journal()
    assert {row.engine for row in usage_of(frozenset({Segment.ENGINE}), FIRST, FIRST + 20 * DAY)} <= set(EngineName)
