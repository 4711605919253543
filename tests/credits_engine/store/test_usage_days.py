"""Kept days of usage say what the journal says, wherever their mark stands, and spare reading it."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from control_plane.migrations import downgrade, upgrade
from control_plane.platform.db.database import db, read_only, transaction
from credits_engine.administration import usage_rollup
from credits_engine.engines.decisions import EngineName
from credits_engine.store import running_totals, usage
from credits_engine.store.usage import Segment, UsageRow
from tests.credits_engine.conftest import Till
from tests.statements import noted

FIRST = datetime(2027, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BY = (frozenset(Segment), frozenset({Segment.DAY}), frozenset({Segment.ENGINE, Segment.COHORT}), frozenset[Segment]())


def consumed(till: Till, operations: int, *, seed: int = 0) -> None:
    """Operations of two users over some ten days, not in the order of time."""
    dice = random.Random(seed)
    for user, plan in (("ada", "free"), ("bob", "pro")):
        till.user(user, plan)
    for number in range(operations):
        till.now = FIRST + timedelta(hours=dice.uniform(0, 240))
        till.v2 = dice.random() < 0.5
        till.take(dice.choice(("ada", "bob")), f"s{seed}k{number}", dice.randrange(1, 60), dice.randrange(9))


def shown(by: frozenset[Segment], since: datetime, until: datetime) -> list[UsageRow]:
    with read_only() as session:
        return usage.daily_usage(session, by, since=since, until=until)


def straight(by: frozenset[Segment], since: datetime, until: datetime) -> list[UsageRow]:
    """The same from the journal alone."""
    with read_only() as session:
        return usage._merge(usage._between(session, by, since, until))


def spans() -> list[tuple[datetime, datetime]]:
    dice = random.Random(7)
    ends = [FIRST + timedelta(hours=dice.choice((0, 24, 24, 1)) * dice.randrange(11)) for _ in range(24)]
    return [(min(pair), max(pair)) for pair in zip(ends[::2], ends[1::2], strict=True)] + [(FIRST, FIRST + 20 * DAY)]


def assert_as_the_journal() -> None:
    for by in BY:
        for since, until in spans():
            assert shown(by, since, until) == straight(by, since, until), (by, since, until)


def test_wherever_the_mark_stands_the_days_say_what_the_journal_says(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumed(till, 30)
    assert_as_the_journal()
    monkeypatch.setattr(running_totals, "ROWS_AT_ONCE", 11)
    for _ in range(4):
        with transaction() as session:
            usage.roll_up(session)
        assert_as_the_journal()


def test_what_occurred_on_a_day_that_is_added_up_already_is_added_to_it(till: Till) -> None:
    consumed(till, 10)
    usage_rollup.roll_up_usage()
    consumed(till, 10, seed=1)
    assert_as_the_journal()
    usage_rollup.roll_up_usage()
    assert_as_the_journal()


def test_a_plan_counts_as_it_was_when_the_operation_was_added_up(till: Till) -> None:
    till.user("ada", "free")
    till.now = FIRST
    till.take("ada", "k1", analysis=1)
    usage_rollup.roll_up_usage()
    till.user("ada", "pro")
    till.take("ada", "k2", analysis=2)
    by = frozenset({Segment.PLAN})
    assert [(row.plan, row.credits["analysis"]) for row in shown(by, FIRST, FIRST + DAY)] == [("free", 1), ("pro", 2)]
    usage_rollup.roll_up_usage()
    assert [(row.plan, row.credits["analysis"]) for row in shown(by, FIRST, FIRST + DAY)] == [("free", 1), ("pro", 2)]


def test_adding_up_again_adds_nothing(till: Till) -> None:
    consumed(till, 10)
    reached = usage_rollup.roll_up_usage()
    before = shown(frozenset(Segment), FIRST, FIRST + 20 * DAY)
    assert usage_rollup.roll_up_usage() == reached
    assert shown(frozenset(Segment), FIRST, FIRST + 20 * DAY) == before


def test_days_are_added_up_again_after_going_down_and_up(till: Till) -> None:
    consumed(till, 10)
    usage_rollup.roll_up_usage()
    downgrade("0013")
    upgrade()
    assert_as_the_journal()
    usage_rollup.roll_up_usage()
    assert_as_the_journal()


@pytest.mark.database("sqlite")
def test_of_whole_days_no_journal_row_is_read_but_those_behind_the_mark(till: Till) -> None:
    consumed(till, 10)
    usage_rollup.roll_up_usage()
    with noted() as sent, read_only() as session:
        usage.daily_usage(session, since=FIRST, until=FIRST + 5 * DAY)
        ((statement, parameters),) = [each for each in sent if "credit_journal" in each[0]]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert "SEARCH credit_journal USING INTEGER PRIMARY KEY (rowid>?)" in plan
    assert not any("SCAN credit_journal" in each or "ix_credit_journal" in each for each in plan), plan


@pytest.mark.database("postgresql")
def test_no_day_is_closed_to_a_row_that_is_still_being_written(till: Till) -> None:
    """A transaction that drew its number before commits after everything that was numbered later."""
    consumed(till, 5)
    usage_rollup.roll_up_usage()
    with db.engine.connect() as slow, slow.begin():
        slow.execute(text("SELECT * FROM credit_pack FOR UPDATE"))
        slow.execute(text("SELECT nextval('credit_journal_id_seq')"))
        slow.execute(text("SELECT pg_current_xact_id()"))
        consumed(till, 5, seed=1)
        with read_only() as session:
            newest = session.scalar(text("SELECT max(id) FROM credit_journal"))
        assert usage_rollup.roll_up_usage() < newest
        assert_as_the_journal()
    assert usage_rollup.roll_up_usage() == newest
    assert_as_the_journal()
    assert {row.engine for row in shown(frozenset({Segment.ENGINE}), FIRST, FIRST + 20 * DAY)} <= set(EngineName)
