"""Whatever is spoiled behind the program's back is found by what looks for it, and a restored backup is whole again."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Table, delete, insert, select, text, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import db, is_postgresql, read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from credits_engine.engines.amounts import Amounts
from credits_engine.migration import backup
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.reconciliation import invariants, totals
from credits_engine.reconciliation.verification import verify
from credits_engine.store import running_totals
from credits_engine.store.tables import COUNTERS, JOURNAL, KEYS, LEGACY, PACK_ENTRIES, PACKS, USERS
from tests.credits_engine.administration.test_top_ups import buy
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import MONTH

Harm = Callable[[Session], object]
GUARDS = {
    "sqlite": ["credit_journal_no_update", "credit_journal_no_delete"],
    "postgresql": ["credit_journal_no_change"],
}
PACK_GUARDS = {
    "sqlite": ["credit_pack_entry_no_update", "credit_pack_entry_no_delete"],
    "postgresql": ["credit_pack_entry_no_change"],
}


def unguarded(session: Session, table: str, guards: dict[str, list[str]]) -> None:
    """Take away what refuses a change, as only somebody with the schema's rights can."""
    dialect = "postgresql" if is_postgresql(session) else "sqlite"
    for trigger in guards[dialect]:
        session.execute(text(f"DROP TRIGGER {trigger}{f' ON {table}' if dialect == 'postgresql' else ''}"))


def in_journal(harm: Harm) -> Harm:
    def spoil(session: Session) -> None:
        unguarded(session, "credit_journal", GUARDS)
        harm(session)

    return spoil


def lose_pack_entry(session: Session) -> None:
    unguarded(session, "credit_pack_entry", PACK_GUARDS)
    session.execute(delete(PACK_ENTRIES))


def doubled(session: Session) -> None:
    columns = [column for column in JOURNAL.c if column.name != "id"]
    session.execute(JOURNAL.insert().from_select(columns, select(*columns).where(JOURNAL.c.operation_key == "k1")))


def overlap(session: Session) -> None:
    row = dict(session.execute(select(COUNTERS).where(COUNTERS.c.user_id == "ada")).mappings().one())
    start = row["period_start"] + timedelta(days=1)
    session.execute(insert(COUNTERS).values(row | {"period_start": start, "used": Amounts()}))


def without_period(session: Session) -> None:
    session.execute(insert(USERS).values(user_id="eve", plan="free", beta=False, updated_at=MONTH.start))


def of(user: str, table: Table = COUNTERS) -> ColumnElement[bool]:
    return table.c.user_id == user


OTHERS = select(KEYS.c.journal_id).where(KEYS.c.key == "k2").scalar_subquery()
FOUND_BY_VERIFY: dict[str, Harm] = {
    "v2's counter raised": lambda s: s.execute(update(COUNTERS).where(of("ada")).values(used=Amounts(analysis=9))),
    "v2's counter lowered": lambda s: s.execute(update(COUNTERS).where(of("ada")).values(used=Amounts(analysis=0))),
    "legacy's count changed": lambda s: s.execute(
        update(LEGACY).where(of("ada", LEGACY)).values(used=Amounts(roast=7))
    ),
    "a row of v2's book lost": lambda s: s.execute(delete(COUNTERS).where(of("ada"))),
    "a row of legacy's book lost": lambda s: s.execute(delete(LEGACY).where(of("ada", LEGACY))),
    "a row given to somebody else": lambda s: s.execute(update(LEGACY).where(of("bob", LEGACY)).values(user_id="eve")),
    "a period moved": lambda s: s.execute(
        update(COUNTERS).where(of("ada")).values(period_start=MONTH.start - timedelta(days=1))
    ),
    "two periods at once": overlap,
    "a user without a period": without_period,
    "a journal row lost": in_journal(lambda s: s.execute(delete(JOURNAL).where(JOURNAL.c.operation_key == "k1"))),
    "a journal row changed": in_journal(lambda s: s.execute(update(JOURNAL).values(v2_posted=Amounts(analysis=1)))),
    "a journal row twice": doubled,
    "a pack that holds more": lambda s: s.execute(update(PACKS).values(remaining=5)),
    "what moved a pack lost": lose_pack_entry,
    "a key lost": lambda s: s.execute(delete(KEYS).where(KEYS.c.key == "k1")),
    "a key of another's row": lambda s: s.execute(update(KEYS).where(KEYS.c.key == "k1").values(journal_id=OTHERS)),
}


@pytest.fixture
def used_consumer(consumer: Consumer) -> Consumer:
    """Two users who consumed, one of whom bought a pack; everything is whole."""
    consumer.v2 = True
    for user, key in (("ada", "k1"), ("bob", "k2")):
        consumer.take(consumer.user(user), key, analysis=3, roast=2)
    buy(consumer, 5)
    consumer.take("ada", "k3", roast=10)
    assert whole(consumer)
    return consumer


def whole(consumer: Consumer) -> bool:
    with read_only() as session:
        return verify(session, consumer.now).intact


def spoil(harm: Harm) -> None:
    with transaction() as session:
        harm(session)


@pytest.mark.parametrize("harm", FOUND_BY_VERIFY.values(), ids=FOUND_BY_VERIFY.keys())
def test_every_corruption_is_found_by_verify(used_consumer: Consumer, harm: Harm) -> None:
    spoil(harm)
    assert not whole(used_consumer)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("harm", FOUND_BY_VERIFY.values(), ids=FOUND_BY_VERIFY.keys())
def test_a_restored_backup_is_whole_and_goes_on(
    used_consumer: Consumer, database_url: str, tmp_path: Path, harm: Harm
) -> None:
    kept = tmp_path / "kept.backup"
    backup.backup(database_url, kept)
    spoil(harm)
    db.engine.dispose()
    backup.restore(database_url, kept)
    assert whole(used_consumer)
    assert used_consumer.take("ada", "k1", analysis=3, roast=2).replayed
    used_consumer.take("ada", "k4", analysis=1)
    assert whole(used_consumer)


def test_an_operation_that_was_journalled_twice_trips_a_wire_of_its_own(used_consumer: Consumer) -> None:
    spoil(doubled)
    invariants.check(used_consumer.now)
    signals.flush(used_consumer.now)
    with read_only() as session:
        assert signals.totals(session)[SeriesKey(invariants.DOUBLE_CHARGE)].bad == 1


def test_a_changed_answer_is_found_by_the_calibration(used_consumer: Consumer) -> None:
    spoil(
        in_journal(
            lambda s: s.execute(update(JOURNAL).where(JOURNAL.c.user_id == "bob").values(v2_outcome="denied_limit"))
        )
    )
    with read_only() as session:
        found = run_aa_test(session)
    assert (found.passed, len(found.unlike)) == (False, 1)


def test_a_changed_sum_is_found_and_made_again(used_consumer: Consumer) -> None:
    totals.advance()
    spoil(lambda s: s.execute(update(running_totals.TOTALS).values(amounts=Amounts(0, 77))))
    with read_only() as session:
        assert totals.compare(session)[1] is False
    totals.rebuild()
    with read_only() as session:
        assert totals.compare(session)[1] is True
