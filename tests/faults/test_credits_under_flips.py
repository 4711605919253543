"""Sixteen threads consume while the rollout is rolled back and opened again every 100 ms: nothing lost or doubled."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count, cycle

import pytest
from flask import Flask

from control_plane.phases import guide_plan
from control_plane.platform.settings import Settings
from credits_engine import serving
from credits_engine.consumption import Operation
from credits_engine.decisions import Amounts, EngineName, Outcome
from credits_engine.receipts import Receipt
from flags.store import UserAttributes
from tests.applications import application
from tests.faults.ledger import amounts, assert_whole
from tests.office import CUTOVER, Office

THREADS = 16
FLIP_SECONDS = 0.1
FLIPS_MIN = 6
USERS = [f"u{number}" for number in range(5)]
LAST_PHASE = len(guide_plan(CUTOVER).phases) - 1
LAST_STEP = len(guide_plan(CUTOVER).phases[LAST_PHASE].steps) - 1


@pytest.fixture
def office(settings: Settings) -> Iterator[Office]:
    """Five users of whom all are on v2 and a guard that watches, with connections of their own like another process."""
    with application(settings) as other:
        yield _opened(Office(other))


def _opened(office: Office) -> Office:
    office.plan()
    office.watch()
    office.users(*(UserAttributes(user, "plus", datetime.now(UTC)) for user in USERS))
    office.move(LAST_PHASE, LAST_STEP)
    return office


class Crowd:
    """Threads that consume until there were enough operations and enough flips of the flag."""

    def __init__(self, app: Flask, office: Office, operations: int) -> None:
        self.app = app
        self.office = office
        self.operations = operations
        self.numbers = count()
        self.flips = 0
        self.ended = threading.Event()
        self.receipts: list[Receipt] = []
        self.failures: list[BaseException] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self.consume) for _ in range(THREADS)]
        flipper = threading.Thread(target=self.flip)
        for thread in (*threads, flipper):
            thread.start()
        for thread in threads:
            thread.join()
        self.ended.set()
        flipper.join()
        assert self.failures == []

    def consume(self) -> None:
        try:
            with self.app.app_context():
                while (number := next(self.numbers)) < self.operations or self.flips < FLIPS_MIN:
                    if self.failures:
                        return
                    self.take(number)
        except BaseException as error:
            self.failures.append(error)
            raise

    def take(self, number: int) -> None:
        kind = "roast" if number % 3 == 0 else "analysis"
        operation = Operation(USERS[number % len(USERS)], f"k{number}", Amounts(**{kind: 1 + number % 7}))
        for _ in range(2 if number % 10 == 0 else 1):
            self.receipts.append(serving.serve(operation, now=datetime.now(UTC)))

    def flip(self) -> None:
        turns = cycle((self.office.roll_back, partial(self.office.move, LAST_PHASE, LAST_STEP)))
        try:
            while not self.ended.wait(FLIP_SECONDS):
                next(turns)()
                self.flips += 1
        except BaseException as error:
            self.failures.append(error)
            raise


@pytest.mark.parametrize("operations", [480, pytest.param(10_000, marks=pytest.mark.long)])
def test_what_was_granted_is_charged_in_both_books_and_usage_never_jumps(
    app: Flask, office: Office, operations: int
) -> None:
    crowd = Crowd(app, office, operations)
    crowd.run()
    rows = assert_whole(app)
    answered = {each.operation_key: each for each in crowd.receipts if not each.replayed}
    assert operations <= len(answered) == len(rows)
    granted = sum((each.charged for each in answered.values() if each.outcome is Outcome.ALLOWED), Amounts())
    for engine in EngineName:
        assert sum((amounts(row, f"{engine}_posted") for row in rows), Amounts()) == granted
    judges = Counter(row["served_engine"] for row in rows)
    assert set(judges) == {"v2", "legacy"}, judges
    assert all(row["served_engine"] == answered[row["operation_key"]].served.engine for row in rows)
