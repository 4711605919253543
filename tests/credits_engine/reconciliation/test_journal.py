from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.reconciliation.journal import Reconciliation, reconcile
from credits_engine.store import reconciliation
from credits_engine.store.tables import COUNTERS, LEGACY
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import MONTH


def reconciled() -> Reconciliation:
    with read_only() as session:
        return reconcile(session)


def test_an_empty_database_has_nothing_to_correct(consumer: Consumer) -> None:
    assert reconciled() == Reconciliation(0, 0, ())


def test_books_that_were_only_moved_by_operations_agree_with_the_journal(consumer: Consumer) -> None:
    consumer.user("ada", anchor=datetime(2026, 1, 20, tzinfo=UTC))
    consumer.user("bob", "pro")
    for number in range(12):
        consumer.v2 = number % 2 == 0
        consumer.take("ada", f"k{number}", analysis=number + 1, roast=number % 3)
        consumer.take("bob", f"k{number}", roast=200)
        consumer.now += timedelta(days=4)
    assert reconciled().checked == 2 * 2 + 3 + 2
    assert reconciled().clean


def test_a_changed_book_is_named_with_both_figures(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=5)
    with transaction() as session:
        session.execute(update(COUNTERS).values(used=Amounts(analysis=7)))
    (difference,) = reconciled().differences
    assert (difference.engine, difference.user_id, difference.period_start) == (EngineName.V2, "ada", MONTH.start)
    assert (difference.book, difference.journal) == (Amounts(7, 0), Amounts(5, 0))


def test_a_lost_row_and_an_invented_one_are_found(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.user("bob")
    consumer.take("ada", "k1", analysis=5)
    consumer.take("bob", "k1", analysis=5)
    with transaction() as session:
        session.execute(delete(LEGACY).where(LEGACY.c.user_id == "ada"))
        session.execute(update(LEGACY).where(LEGACY.c.user_id == "bob").values(user_id="eve"))
    found = sorted((each.user_id, each.book["analysis"], each.journal["analysis"]) for each in reconciled().differences)
    assert found == [("ada", 0, 5), ("bob", 0, 5), ("eve", 5, 0)]


def test_many_pages_find_what_one_page_finds(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        consumer.user(f"user{number}")
        consumer.take(f"user{number}", "k1", analysis=number + 1)
    whole = reconciled()
    assert whole.checked == 14
    for users in (1, 2, 3):
        monkeypatch.setattr(reconciliation, "PAGE_USERS", users)
        assert reconciled() == whole
