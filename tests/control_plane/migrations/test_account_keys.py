"""Keys that begin with the account: what was there before is taken along, and nobody is kept waiting for it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError

from control_plane import migrations
from control_plane.change_context import ChangeContext
from control_plane.migrations import table_locks
from control_plane.migrations.account_keys import FORMER_INDEX, INDEXES, KEYS
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.models import ErasureRow
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import stored_procedure
from credits_engine.operations.consumption import EnginePolicy, Operation
from credits_engine.store.tables import JOURNAL, PACK_ENTRIES, PACKS
from tests.credit_kinds import ROAST
from tests.credits_engine.conftest import Consumer, consumer
from tests.faults.ledger import assert_whole

__all__ = ["consumer"]

BEFORE = "0067"
IN_USE = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
BROKEN = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('credit_journal_made')"


@pytest.fixture
def bought(consumer: Consumer) -> Consumer:
    """Two users who spent of a pack each, and go on."""
    for user in ("ada", "bob"):
        consumer.user(user, "free", anchor=consumer.now)
        with transaction() as session:
            purchase = Purchase(user, ROAST, 9, consumer.now + timedelta(days=30))
            top_ups.top_up(session, purchase, ChangeContext(consumer.now, "test", "Bought."), key="b1")
        consumer.take(user, "k1", roast=12)
    return consumer


def accounts_of_entries() -> dict[tuple[int, int], str]:
    with read_only() as session:
        return {(row.journal_id, row.pack_id): row.user_id for row in session.execute(select(PACK_ENTRIES))}


def test_entries_of_before_get_the_account_of_their_pack(bought: Consumer) -> None:
    before = accounts_of_entries()
    migrations.downgrade(BEFORE)
    migrations.upgrade()
    assert accounts_of_entries() == before
    with read_only() as session:
        owners = {row.id: row.user_id for row in session.execute(select(PACKS))}
    assert set(before.values()) == {"ada", "bob"}
    assert all(owners[pack] == user for (_, pack), user in before.items())
    bought.take("ada", "k2", roast=1)
    assert_whole(bought.app)


@pytest.mark.database("postgresql")
def test_every_key_begins_with_the_account_and_a_number_is_still_found(consumer: Consumer) -> None:
    with consumer.app.app_context(), db.engine.connect() as connection:
        found = inspect(connection)
        keys = {table: ", ".join(found.get_pk_constraint(table)["constrained_columns"]) for table in KEYS}
        indexes = {each["name"] for table in KEYS for each in found.get_indexes(table)}
    assert keys == KEYS
    assert INDEXES.keys() <= indexes
    assert FORMER_INDEX not in indexes


@pytest.mark.database("postgresql")
def test_whoever_writes_as_the_version_before_did_is_understood(bought: Consumer) -> None:
    with transaction() as session:
        session.execute(text("INSERT INTO credit_pack_entry (journal_id, pack_id, amount) VALUES (9999, 2, 1)"))
    assert accounts_of_entries()[9999, 2] == "bob"


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("version", ["0070", "0071", "head"])
def test_whoever_is_erased_by_the_version_before_is_named_by_no_entry(bought: Consumer, version: str) -> None:
    migrations.downgrade(BEFORE)
    migrations.upgrade(version)
    with transaction() as session:
        session.execute(insert(ErasureRow).values(**erasure_of("gone", bought.now)))
        for table in (PACKS, JOURNAL):
            session.execute(update(table).where(table.c.user_id == "ada").values(user_id="gone"))
    migrations.upgrade()
    assert set(accounts_of_entries().values()) == {"gone", "bob"}


def test_the_account_of_an_entry_changes_for_nobody_but_an_erased_person(bought: Consumer) -> None:
    with transaction() as session:
        session.execute(insert(ErasureRow).values(**erasure_of("gone", bought.now)))
    change_entries(user_id="gone")
    assert set(accounts_of_entries().values()) == {"gone", "bob"}
    with pytest.raises(DBAPIError, match="append-only"):
        change_entries("gone", user_id="ada")
    with pytest.raises(DBAPIError, match="append-only"):
        change_entries("bob", user_id="gone", amount=1)


def erasure_of(pseudonym: str, now: datetime) -> dict[str, object]:
    return {"digest": "d", "pseudonym": pseudonym, "erased_at": now, "actor": "test", "reason": "Asked for."}


def change_entries(user: str = "ada", **columns: object) -> None:
    with transaction() as session:
        session.execute(update(PACK_ENTRIES).where(PACK_ENTRIES.c.user_id == user).values(**columns))


@pytest.mark.database("postgresql")
def test_an_index_that_was_left_half_made_is_made_again(bought: Consumer) -> None:
    migrations.downgrade(BEFORE)
    with db.engine.begin() as connection:
        connection.execute(text("CREATE INDEX credit_journal_made ON credit_journal (actor)"))
        connection.execute(text(BROKEN))
    migrations.upgrade()
    with db.engine.connect() as connection:
        key = inspect(connection).get_pk_constraint("credit_journal")
    assert key["constrained_columns"] == ["user_id", "id"]
    bought.take("ada", "k2", roast=1)
    assert_whole(bought.app)


@pytest.mark.database("postgresql")
def test_operations_go_on_while_the_change_waits_for_somebody_who_reads(bought: Consumer) -> None:
    bought.take(bought.user("eve", anchor=bought.now), "k1", analysis=1)
    migrations.downgrade(BEFORE)
    ended: list[str | None] = []

    def upgrade() -> None:
        with bought.app.app_context():
            ended.append(migrations.upgrade())

    waiting = threading.Thread(target=upgrade)
    with db.engine.connect() as reader, db.engine.connect() as watcher:
        reader.execute(text("SELECT count(*) FROM credit_journal"))
        waiting.start()
        while watcher.scalar(text(IN_USE)) is None:
            watcher.rollback()
        for number in range(5):
            # By the database's own function, of the schema of before; what is in Python knows today's alone.
            operation = Operation("eve", f"w{number}", Amounts(analysis=1), actor="test")
            receipt = stored_procedure.call(operation, now=bought.now, policy=EnginePolicy())
            assert receipt is not None
            assert receipt.charged == Amounts(analysis=1)
        assert ended == []
    waiting.join()
    assert ended == [BEFORE]
    assert_whole(bought.app)


@pytest.mark.database("postgresql")
def test_an_upgrade_that_waited_too_long_is_ended_and_goes_on_when_it_is_repeated(
    bought: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.downgrade(BEFORE)
    migrations.upgrade("0070")
    monkeypatch.setattr(table_locks, "GIVE_UP_SECONDS", 0.0)
    with db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM credit_pack_entry"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade()
    with db.engine.connect() as one, db.engine.connect() as other:
        assert [each.scalar(text("SHOW lock_timeout")) for each in (one, other)] == ["5s", "5s"]
        assert one.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
    assert migrations.upgrade() == "0070"
    bought.take("ada", "k2", roast=1)
    assert_whole(bought.app)


@pytest.mark.database("postgresql")
def test_of_several_that_upgrade_at_once_none_fails(bought: Consumer) -> None:
    migrations.downgrade(BEFORE)

    def upgrade() -> str | None:
        with bought.app.app_context():
            return migrations.upgrade()

    with ThreadPoolExecutor(3) as processes:
        ended = [each.result() for each in [processes.submit(upgrade) for _ in range(3)]]
    assert BEFORE in ended, "whoever comes while another one prepares begins with what that one has made"
    with bought.app.app_context():
        assert migrations.upgrade() == migrations.head(), "nothing is left to do"
    bought.take("ada", "k2", roast=1)
    assert_whole(bought.app)
