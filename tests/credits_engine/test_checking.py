"""The books are held against the journal all the time, and what v2 puts at stake is measured."""

from datetime import timedelta

from sqlalchemy import select, update

from control_plane.platform import signals
from control_plane.platform.database import reading, transaction
from control_plane.platform.signals import Count, Series
from credits_engine import checking
from credits_engine.store import guardrails
from credits_engine.store.tables import COUNTERS, JOURNAL
from tests.credits_engine.conftest import Till


def tripped(till: Till) -> dict[str, Count]:
    """What the tripwires have counted."""
    signals.flush(till.now)
    with reading() as session:
        totals = signals.totals(session)
    return {name: totals[Series(name)] for name in (checking.DIFFERENCE, checking.DOUBLE_CHARGE)}


def test_sound_books_trip_nothing(till: Till) -> None:
    till.v2 = True
    till.take(till.user("ada"), "k1", analysis=2)
    assert checking.check(till.now) == []
    assert tripped(till) == {checking.DIFFERENCE: Count(0, 1), checking.DOUBLE_CHARGE: Count(0, 1)}


def test_a_book_that_is_not_what_the_journal_adds_up_to_trips_the_wire(till: Till) -> None:
    till.v2 = True
    till.take(till.user("ada"), "k1", analysis=2)
    with transaction() as session:
        session.execute(update(COUNTERS).values(analysis_used=3))
    assert [total.user_id for total in checking.check(till.now)] == ["ada"]
    assert tripped(till)[checking.DIFFERENCE] == Count(1, 1)


def test_a_key_that_was_charged_twice_trips_the_other_wire(till: Till) -> None:
    till.v2 = True
    till.take(till.user("ada"), "k1", analysis=2)
    again = [column for column in JOURNAL.c if column.name != "id"]
    with transaction() as session:
        session.execute(JOURNAL.insert().from_select(again, select(*again)))
    checking.check(till.now)
    assert tripped(till)[checking.DOUBLE_CHARGE] == Count(1, 1)


def test_the_check_goes_round_page_by_page(till: Till) -> None:
    till.take(till.user("ada"), "k1", analysis=2)
    for _ in range(4):
        assert checking.check(till.now) == []


def test_what_v2_puts_at_stake_is_counted_since_an_instant(till: Till) -> None:
    till.take(till.user("ada"), "k0", analysis=2)
    till.v2 = True
    for user in ("ada", "bob"):
        till.take(till.user(user), "k1", analysis=2)
        till.take(user, "k2", roast=1)
    with reading() as session:
        assert guardrails.blast(session, till.now) == guardrails.Blast(2, 4, 0)
        assert guardrails.blast(session, till.now + timedelta(seconds=1)) == guardrails.Blast()
