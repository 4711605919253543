"""The schema goes down and up again around real credits, and a worker keeps serving while a newer version upgrades."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import MetaData, Table, inspect, select, text

from control_plane import migrations
from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.billing.store.accounts import lock_account
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations import execution, reservations
from credits_engine.operations.consumption import Operation
from credits_engine.store import retirement
from tests.credit_kinds import ROAST
from tests.credits_engine.conftest import Consumer, consumer
from tests.faults.ledger import assert_whole
from tests.faults.next_version import upgrade_to_next_version

__all__ = ["consumer"]

TTL = timedelta(minutes=15)
BEFORE_KEYS = "0067"
"""The version before keys began with the account."""


@pytest.fixture
def lived(consumer: Consumer) -> Consumer:
    """Credits of every sort: operations of both engines, a pack, a reservation that runs, a freeze, a retirement."""
    consumer.now = datetime.now(UTC)
    for user, plan in (("ada", "free"), ("bob", "pro"), ("cyd", "custom")):
        consumer.user(user, plan, anchor=consumer.now - timedelta(days=3))
        consumer.take(user, "k1", analysis=3, roast=2)
        consumer.v2 = not consumer.v2
        consumer.take(user, "k2", roast=12)
    with transaction() as session:
        words: dict[str, Any] = {"now": consumer.now, "actor": "test", "reason": "Bought."}
        top_ups.top_up(
            session, Purchase("ada", ROAST, 9, consumer.now + timedelta(days=30)), ChangeContext(**words), key="b1"
        )
        corrections.freeze(session, "cyd", ChangeContext(**words))
        retirement.retire(session, **words)
        lock_account(session, "bob", now=consumer.now, default_plan="free")
    operation = Operation("ada", "r1", Amounts(analysis=5), type=EntryType.RESERVE)
    execution.run_reservation(operation, ttl=TTL, now=consumer.now)
    return consumer


def contents(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table but the version's own."""
    with app.app_context(), read_only() as session:
        names = sorted(set(inspect(session.connection()).get_table_names()) - {"alembic_version"})
        tables = [Table(name, MetaData(), autoload_with=session.connection()) for name in names]
        return {table.name: sorted(map(tuple, session.execute(select(table))), key=repr) for table in tables}


def test_down_and_up_again_keeps_every_row_of_the_credits(lived: Consumer) -> None:
    before = contents(lived.app)
    migrations.downgrade("base")
    migrations.upgrade()
    after = contents(lived.app)
    # A migration has no key, so the trail is sealed again with its next entry; its entries are compared below.
    del before["audit_head"], after["audit_head"]
    assert after == before
    assert {name for name, rows in before.items() if rows} >= {
        "credit_journal",
        "usage_counters",
        "legacy_book",
        "operation_key",
        "credit_reservation",
        "credit_pack",
        "credit_pack_entry",
        "credit_freeze",
        "credit_retirement",
        "billing_account",
    }


def test_credits_go_on_after_a_way_down_and_up(lived: Consumer) -> None:
    migrations.downgrade("base")
    migrations.upgrade()
    assert lived.take("ada", "k1", analysis=3, roast=2).replayed
    with transaction() as session:
        settled = reservations.release(session, "ada", "r1", now=lived.now, actor="test", reason="Failed.")
    assert settled.reserved == Amounts(5, 0)
    assert lived.take("ada", "k9", roast=8).charged == Amounts(0, 8)
    with transaction() as session, pytest.raises(Exception, match="append-only"):
        session.execute(text("DELETE FROM credit_journal"))
    assert_whole(lived.app)


class Worker:
    """A process of the version before, as far as the database can tell: it goes on serving with its own statements."""

    def __init__(self, app: Flask, user: str) -> None:
        self.app, self.user = app, user
        self.receipts: list[Receipt] = []
        self.failures: list[BaseException] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        try:
            with self.app.app_context():
                while not self.ended.is_set():
                    operation = Operation(self.user, f"w{len(self.receipts)}", Amounts(analysis=1))
                    self.receipts.append(execution.run_operation(operation, now=datetime.now(UTC)))
        except BaseException as error:
            self.failures.append(error)
            raise

    def wait_for_more(self) -> None:
        enough = len(self.receipts) + 10
        while len(self.receipts) < enough and not self.failures:
            self.ended.wait(0.005)


@pytest.fixture
def workers(lived: Consumer) -> Iterator[list[Worker]]:
    """Four of them, at work."""
    found = [Worker(lived.app, user) for user in ("ada", "bob", "bob", "ada")]
    for number, worker in enumerate(found):
        worker.user = lived.user(f"w{number}", "plus")
        worker.thread.start()
    yield found
    for worker in found:
        worker.ended.set()
        worker.thread.join()


@pytest.mark.database("postgresql")
def test_workers_keep_serving_while_the_keys_change_down_and_up(lived: Consumer, workers: list[Worker]) -> None:
    migrations.downgrade(BEFORE_KEYS)
    for worker in workers:
        worker.wait_for_more()
    migrations.upgrade()
    for worker in workers:
        worker.wait_for_more()
        worker.ended.set()
        worker.thread.join()
    assert [worker.failures for worker in workers] == [[], [], [], []]
    assert_whole(lived.app)


def test_a_worker_keeps_serving_while_a_newer_version_upgrades(
    lived: Consumer, workers: list[Worker], tmp_path: Path
) -> None:
    for worker in workers:
        worker.wait_for_more()
    upgrade_to_next_version(tmp_path)
    for worker in workers:
        worker.wait_for_more()
        worker.ended.set()
        worker.thread.join()
    assert [worker.failures for worker in workers] == [[], [], [], []]
    charged = {row["operation_key"] for row in assert_whole(lived.app) if row["user_id"].startswith("w")}
    assert charged == {receipt.operation_key for worker in workers for receipt in worker.receipts}
