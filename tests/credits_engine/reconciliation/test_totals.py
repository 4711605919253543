"""Comparing with kept sums finds what comparing with the whole journal finds, and reads only what is new."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from control_plane.migrations import downgrade, upgrade
from control_plane.platform.db.database import db, read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.reconciliation import scheduled, totals
from credits_engine.reconciliation.journal import Reconciliation, reconcile
from credits_engine.store import journal, running_totals
from credits_engine.store.tables import COUNTERS, LEGACY
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import MONTH, NOW

SIGN = "CREATE FUNCTION credit_is_coordinator() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
"""What `rollout db distribute` leaves behind."""


def _invent(session: Session) -> None:
    row = {"type": "consume", "occurred_at": NOW, "user_id": "user3", "reason": "-", "actor": "-"}
    journal.append(session, {**row, "v2_period_start": MONTH.start, "v2_posted": Amounts(5)})


CHANGES: dict[str, Callable[[Session], object]] = {
    "a counter that was raised": lambda s: s.execute(
        update(COUNTERS).where(COUNTERS.c.user_id == "user1").values(used=Amounts(roast=9))
    ),
    "a counter that was emptied": lambda s: s.execute(update(LEGACY).values(used=Amounts(analysis=0))),
    "rows that were lost": lambda s: s.execute(delete(COUNTERS).where(COUNTERS.c.user_id == "user2")),
    "rows of somebody else": lambda s: s.execute(
        update(LEGACY).where(LEGACY.c.user_id == "user0").values(user_id="eve")
    ),
    "an entry that no book knows of": _invent,
}


def compared() -> tuple[Reconciliation, bool]:
    with read_only() as session:
        return totals.compare(session)


def full_reconciliation() -> Reconciliation:
    with read_only() as session:
        return reconcile(session)


def fill(consumer: Consumer) -> None:
    for number in range(4):
        consumer.user(f"user{number}", "pro")
        for key in range(3):
            consumer.take(f"user{number}", f"k{key}", analysis=number + 1, roast=key)
            consumer.now += timedelta(days=6)
        consumer.now = NOW


def test_sums_are_as_good_as_the_journal(consumer: Consumer) -> None:
    fill(consumer)
    before = compared()
    totals.advance()
    assert compared() == before == (full_reconciliation(), True)
    consumer.take("user1", "new", analysis=50)
    assert compared() == (full_reconciliation(), True)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("folded", [True, False])
def test_whatever_is_changed_is_found_wherever_the_mark_stands(
    consumer: Consumer, change: Callable[[Session], object], folded: bool
) -> None:
    fill(consumer)
    if folded:
        totals.advance()
    with transaction() as session:
        change(session)
    if not folded:
        totals.advance()
    (found, reliable), whole = compared(), full_reconciliation()
    assert reliable
    assert found.found == whole.found > 0
    assert set(found.differences) == set(whole.differences)


def test_a_wrong_sum_accuses_no_book_and_is_added_up_again(consumer: Consumer) -> None:
    fill(consumer)
    totals.advance()
    with transaction() as session:
        session.execute(update(running_totals.TOTALS).values(amounts=Amounts(77)))
    found, reliable = compared()
    assert (found.clean, reliable) == (True, False)
    assert scheduled.check_books(consumer.now, "schedule").clean
    assert compared()[1]


def test_only_rows_behind_the_mark_are_read(consumer: Consumer) -> None:
    fill(consumer)
    reached = totals.advance()
    with transaction() as session:
        assert session.scalar(text("SELECT max(id) FROM credit_journal")) == reached
        session.execute(text("DROP TRIGGER IF EXISTS credit_journal_no_delete" + _table(session)))
        session.execute(text("DROP TRIGGER IF EXISTS credit_journal_no_change" + _table(session)))
        session.execute(text("DELETE FROM credit_journal"))
    assert compared()[0].clean
    assert full_reconciliation().found == 8
    assert scheduled.check_books(consumer.now, "demand").found == 8


def _table(session: Session) -> str:
    return " ON credit_journal" if session.get_bind().dialect.name == "postgresql" else ""


@pytest.mark.database("postgresql")
def test_no_mark_passes_a_row_that_is_still_being_written(consumer: Consumer) -> None:
    """A transaction that drew its number before commits after everything that was numbered later."""
    fill(consumer)
    totals.advance()
    with db.engine.connect() as slow, slow.begin():
        slow.execute(text("SELECT * FROM usage_counters WHERE user_id = 'user0' FOR UPDATE"))
        slow.execute(text("SELECT nextval('credit_journal_id_seq')"))
        consumer.take("user1", "later", analysis=1)
        with transaction() as session:
            newest = session.scalar(text("SELECT max(id) FROM credit_journal"))
        assert totals.advance() < newest
        assert compared() == (full_reconciliation(), True)
    assert totals.advance() == newest
    assert compared() == (full_reconciliation(), True)


def test_many_small_steps_add_up_to_one_large_one(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(consumer)
    monkeypatch.setattr(running_totals, "ROWS_AT_ONCE", 2)
    totals.rebuild()
    assert compared() == (full_reconciliation(), True)
    with read_only() as session:
        tallies = running_totals.TOTALS.c
        columns = tallies.engine, tallies.user_id, tallies.amounts
        kept = {(row.engine, row.user_id, row.amounts["analysis"]) for row in session.execute(select(*columns))}
    assert {each for each in kept if each[1] == "user3"} >= {(EngineName.V2.value, "user3", 12)}


def test_sums_are_made_again_after_going_down_and_up(consumer: Consumer) -> None:
    fill(consumer)
    totals.advance()
    downgrade("0009")
    upgrade()
    assert scheduled.check_books(consumer.now, "schedule").clean
    assert consumer.books("user1").v2.used == Amounts(6, 3)


def test_an_hour_is_compared_by_sums_and_a_day_by_the_journal(consumer: Consumer) -> None:
    causes = []
    for hours in (0, 1, 1, 21, 1, 1):
        consumer.now += timedelta(hours=hours)
        with read_only() as session:
            cause = scheduled.due(session, consumer.now)
        assert cause
        causes.append(cause)
        scheduled.check_books(consumer.now, cause)
    assert causes == ["daily", "schedule", "schedule", "schedule", "daily", "schedule"]


@pytest.mark.database("postgresql")
def test_on_several_databases_no_row_is_passed_by_a_mark_that_knows_one_of_them(consumer: Consumer) -> None:
    fill(consumer)
    with transaction() as session:
        before = running_totals.advance(session)
        session.execute(text(SIGN))
        assert running_totals.advance(session) == before
    consumer.take("user1", "later", analysis=1)
    with transaction() as session:
        assert running_totals.advance(session) == before
    assert compared()[0].clean
    with transaction() as session:
        _invent(session)
    assert not compared()[0].clean
