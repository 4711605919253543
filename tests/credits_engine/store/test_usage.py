"""Usage added up by day, engine, plan and cohort, and the days that stand out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration.analytics import changes
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import reservations
from credits_engine.store import usage
from credits_engine.store.tables import USERS
from credits_engine.store.usage import Segment, UsageRow
from tests.credits_engine.api.test_administration import Admin, admin, found
from tests.credits_engine.conftest import Till
from tests.credits_engine.operations.test_reservations import Desk
from tests.statements import noted

__all__ = ["admin"]

START = datetime(2027, 3, 1, tzinfo=UTC)


def day(number: int, analysis: int) -> UsageRow:
    return UsageRow(f"2027-03-{number:02}", "v2", "free", "", 1, 0, 0, Amounts(1, 0), Amounts(analysis, 0))


def stand_out(*rows: UsageRow, days: int) -> list[tuple[str, str]]:
    return [(each.day, each.direction) for each in changes(rows, since=START, until=START + timedelta(days=days))]


def test_usage_is_added_up_by_day_engine_and_plan(admin: Admin, till: Till) -> None:
    till.user("bob", "pro")
    till.take("ada", "k1", analysis=5)
    till.take("ada", "k2", roast=51)
    till.v2 = True
    till.take("bob", "k1", analysis=7, roast=1)
    today = till.now.strftime("%Y-%m-%d")
    days = found(admin.get("analytics"))["days"]
    assert [(row["day"], row["engine"], row["plan"], row["allowed"], row["denied"]) for row in days] == [
        (today, "legacy", "free", 1, 1),
        (today, "v2", "pro", 1, 0),
    ]
    assert [(row["analysis"], row["roast"], row["roast_operations"]) for row in days] == [(5, 0, 0), (7, 1, 1)]
    assert "cohort" not in days[0]
    assert [row["analysis"] for row in admin.sheet("analytics?format=csv")] == ["5", "7"]


def test_usage_is_divided_by_what_is_asked_for(admin: Admin, till: Till) -> None:
    till.user("bob")
    with transaction() as session:
        since = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
        session.execute(update(USERS).where(USERS.c.user_id == "bob").values(signed_up_at=since))
    till.take("ada", "k1", analysis=5)
    till.take("bob", "k1", analysis=7)
    (total,) = found(admin.get("analytics?by=engine"))["days"]
    assert (total["engine"], total["analysis"]) == ("legacy", 12)
    cohorts = found(admin.get("analytics?by=cohort"))["days"]
    assert [(row["cohort"], row["analysis"]) for row in cohorts] == [("2026-12", 7), ("2027-03", 5)]
    assert admin.get("analytics?by=phase").get_json()["code"] == "UNKNOWN_SEGMENT"
    assert admin.sheet("analytics?by=cohort&format=csv")[0]["cohort"] == "2026-12"


def test_what_was_given_back_is_not_usage(till: Till) -> None:
    till.user("ada")
    desk = Desk(till)
    desk.reserve(analysis=9)
    with transaction() as session:
        reservations.commit(session, "ada", "r1", now=till.now, actor="test", amounts=Amounts(4, 0))
    with read_only() as session:
        (row,) = usage.daily_usage(session, since=till.now, until=till.now + timedelta(seconds=1))
        assert (row.allowed, row.credits["analysis"]) == (1, 4)
        assert (
            usage.daily_usage(session, since=till.now + timedelta(seconds=1), until=till.now + timedelta(days=9)) == []
        )


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("by", [frozenset(Segment), frozenset({Segment.ENGINE})])
def test_only_the_days_asked_for_are_read(till: Till, by: frozenset[Segment]) -> None:
    with noted() as sent, read_only() as session:
        usage.daily_usage(session, by, since=till.now, until=till.now + timedelta(days=1))
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
