"""Sixteen threads consume while the rollout is rolled back and opened again every 100 ms: nothing lost or doubled."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count, cycle

import pytest
from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import Receipt
from credits_engine.operations import execution
from credits_engine.operations.consumption import Operation
from credits_engine.reconciliation.journal import reconcile
from flags.store import UserAttributes
from tests.applications import application
from tests.faults.ledger import amounts, assert_whole
from tests.installation import CUTOVER, Installation

THREADS = 16
FLIP_SECONDS = 0.1
FLIPS_MIN = 4
AUDIT_SECONDS = 0.3
USERS = [f"u{number}" for number in range(5)]
LAST_PHASE = len(default_plan(CUTOVER).phases) - 1
LAST_STEP = len(default_plan(CUTOVER).phases[LAST_PHASE].steps) - 1


@pytest.fixture
def installation(settings: Settings) -> Iterator[Installation]:
    """Five users of whom all are on v2 and a guard that watches, with connections of their own like another process."""
    with application(settings) as other:
        yield _opened(Installation(other))


def _opened(installation: Installation) -> Installation:
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "plus", datetime.now(UTC)) for user in USERS))
    installation.move(LAST_PHASE, LAST_STEP)
    return installation


class ConsumingThreads:
    """Threads that consume until there were enough operations and enough flips of the flag."""

    def __init__(self, app: Flask, installation: Installation, operations: int) -> None:
        self.app = app
        self.installation = installation
        self.operations = operations
        self.numbers = count()
        self.turns: list[Callable[[], object]] = [
            installation.roll_back,
            partial(installation.move, LAST_PHASE, LAST_STEP),
        ]
        self.flips = self.audits = 0
        self.ended = threading.Event()
        self.receipts: list[Receipt] = []
        self.failures: list[BaseException] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self.consume) for _ in range(THREADS)]
        others = [threading.Thread(target=self.flip), threading.Thread(target=self.audit)]
        for thread in (*threads, *others):
            thread.start()
        for thread in threads:
            thread.join()
        self.ended.set()
        for thread in others:
            thread.join()
        assert self.failures == []

    def consume(self) -> None:
        with self.noting_failures(), self.app.app_context():
            while (number := next(self.numbers)) < self.operations or self.flips < FLIPS_MIN:
                if self.failures:
                    return
                self.take(number)
                if number >= self.operations:
                    self.ended.wait(FLIP_SECONDS)  # only the flips are waited for by now

    def take(self, number: int) -> None:
        kind = "roast" if number % 3 == 0 else "analysis"
        operation = Operation(USERS[number % len(USERS)], f"k{number}", Amounts(**{kind: 1 + number % 7}))
        for _ in range(2 if number % 10 == 0 else 1):
            self.receipts.append(execution.run_operation(operation, now=datetime.now(UTC)))

    def flip(self) -> None:
        with self.noting_failures():
            for turn in cycle(self.turns):
                if self.ended.wait(FLIP_SECONDS):
                    return
                turn()
                self.flips += 1

    def audit(self) -> None:
        """Hold the books against the journal while everything goes on, as anybody may at any instant."""
        with self.noting_failures(), self.installation.app.app_context():
            while not self.ended.wait(AUDIT_SECONDS):
                with read_only() as session:
                    found = reconcile(session)
                assert found.clean, found.differences[:3]
                self.audits += 1

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.failures.append(error)
            raise


@pytest.mark.parametrize("operations", [480, pytest.param(10_000, marks=pytest.mark.long)])
def test_what_was_granted_is_charged_in_both_books_and_usage_never_jumps(
    app: Flask, installation: Installation, operations: int
) -> None:
    consuming = ConsumingThreads(app, installation, operations)
    consuming.run()
    rows = assert_whole(app)
    answered = {each.operation_key: each for each in consuming.receipts if not each.replayed}
    assert operations <= len(answered) == len(rows)
    granted = sum((each.charged for each in answered.values() if each.outcome is Outcome.ALLOWED), Amounts())
    for engine in EngineName:
        assert sum((amounts(row, f"{engine}_posted") for row in rows), Amounts()) == granted
    judges = Counter(row["served_engine"] for row in rows)
    assert set(judges) == {"v2", "legacy"}, judges
    assert all(row["served_engine"] == answered[row["operation_key"]].served.engine for row in rows)
    assert consuming.audits > 0


@pytest.mark.parametrize("operations", [480, pytest.param(10_000, marks=pytest.mark.long)])
def test_resets_meanwhile_put_each_operation_before_or_after_themselves(
    app: Flask, installation: Installation, dialect: str, operations: int
) -> None:
    consuming = ConsumingThreads(app, installation, operations)
    numbers = count()
    # SQLite's writers of one process queue in one line; PostgreSQL's connections of one process are all in use.
    ours = app if dialect == "sqlite" else installation.app

    def reset() -> None:
        user = USERS[next(numbers) % len(USERS)]
        with ours.app_context(), transaction() as session:
            corrections.reset(session, user, ChangeContext(datetime.now(UTC), "test", "By hand."))

    consuming.turns = [reset]
    consuming.run()
    rows = assert_whole(app)
    answered = {each.operation_key for each in consuming.receipts if not each.replayed}
    assert answered == {row["operation_key"] for row in rows if row["type"] == "consume"}
    assert consuming.flips == sum(row["type"] == "reset" for row in rows)
