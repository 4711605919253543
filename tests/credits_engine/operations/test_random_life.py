"""The credits against a model that knows nothing of engines, locks or SQL. Nothing is lost, nothing is doubled."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from control_plane.platform.db.database import read_only
from credits_engine.engines import v2
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt, replayed
from credits_engine.operations.consumption import Engines, KeyConflictError
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW

USERS = ("ada", "bob")
ANCHORS = {"ada": None, "bob": datetime(2026, 1, 31, 12, tzinfo=UTC)}
BookKey = tuple[str, EngineName, datetime]


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError


class Life(RuleBasedStateMachine):
    """Operations, retries, flag flips, plan changes, failures and a clock that runs and jumps."""

    app: Flask
    run = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).run += 1
        self.consumer = Consumer(self.app, now=NOW)
        self.plans = dict.fromkeys(USERS, "free")
        self.used: dict[BookKey, Amounts] = defaultdict(Amounts)
        self.limits: dict[BookKey, int | None] = {}
        self.receipts: dict[tuple[str, str], tuple[Amounts, Receipt]] = {}
        self.keys = 0

    def name(self, user: str) -> str:
        """Return the name of a user of this example alone, as one database serves all examples."""
        return f"{user}{self.run}"

    @initialize()
    def enter(self) -> None:
        for user in USERS:
            self.consumer.user(self.name(user), "free", anchor=ANCHORS[user])

    @rule(user=st.sampled_from(USERS), analysis=st.integers(0, 60), roast=st.integers(0, 12))
    def consume(self, user: str, analysis: int, roast: int) -> None:
        if analysis + roast == 0:
            return
        self.keys += 1
        asked = Amounts(analysis, roast)
        receipt = self.consumer.take(self.name(user), f"k{self.keys}", analysis, roast)
        self.note(user, receipt, asked)
        self.receipts[user, f"k{self.keys}"] = asked, receipt

    def note(self, user: str, receipt: Receipt, asked: Amounts) -> None:
        """Follow an operation in the model."""
        serving = receipt.served.engine
        assert serving is (EngineName.V2 if self.consumer.v2 else EngineName.LEGACY)
        before = self.used[user, serving, receipt.served.period.start]
        limits = receipt.served.limits
        fits = all(
            limit is None or amount == 0 or used + amount <= limit
            for limit, used, amount in (
                (limits["analysis"], before["analysis"], asked["analysis"]),
                (limits["roast"], before["roast"], asked["roast"]),
            )
        )
        assert receipt.served.used == before
        assert self.consumer.now in receipt.served.period
        assert receipt.outcome is (Outcome.ALLOWED if fits else Outcome.DENIED_LIMIT)
        assert receipt.charged == (asked if fits else NOTHING)
        for side in (receipt.served, receipt.shadow):
            self.used[user, side.engine, side.period.start] += receipt.charged

    @rule(data=st.data(), extra=st.integers(0, 1))
    def repeat(self, data: st.DataObject, extra: int) -> None:
        if not self.receipts:
            return
        user, key = data.draw(st.sampled_from(sorted(self.receipts)))
        asked, receipt = self.receipts[user, key]
        if extra:
            with pytest.raises(KeyConflictError):
                self.consumer.take(self.name(user), key, asked["analysis"] + extra, asked["roast"])
            return
        again = self.consumer.take(self.name(user), key, asked["analysis"], asked["roast"])
        assert again == replayed(receipt)

    @rule()
    def flip(self) -> None:
        before = {user: self.consumer.books(self.name(user)) for user in USERS}
        self.consumer.v2 = not self.consumer.v2
        assert {user: self.consumer.books(self.name(user)) for user in USERS} == before

    @rule(user=st.sampled_from(USERS), failed=st.sampled_from(list(EngineName)))
    def fail_and_retry(self, user: str, failed: EngineName) -> None:
        self.keys += 1
        key, asked = f"k{self.keys}", Amounts(analysis=1)
        self.consumer.engines = Engines(v2=failing) if failed is EngineName.V2 else Engines(legacy=failing)
        receipt = self.consumer.take(self.name(user), key, analysis=1)
        self.consumer.engines = Engines()
        served_failed = failed is receipt.served.engine
        assert (receipt.outcome is Outcome.ERROR) == served_failed
        if served_failed:
            assert receipt.charged == NOTHING
            receipt = self.consumer.take(self.name(user), key, analysis=1)
            assert receipt.retry_of
        self.note(user, receipt, asked)
        self.receipts[user, key] = asked, receipt

    @rule(user=st.sampled_from(USERS), plan=st.sampled_from([plan.name for plan in CATALOGUE]))
    def change_plan(self, user: str, plan: str) -> None:
        self.consumer.user(self.name(user), plan, anchor=ANCHORS[user])
        self.plans[user] = plan

    @rule(hours=st.sampled_from([0, 1, 11, 24 * 3, 24 * 17, 24 * 45, -1, -24 * 40]))
    def clock(self, hours: int) -> None:
        self.consumer.now += timedelta(hours=hours)

    @rule()
    def to_the_boundary(self) -> None:
        period: Period = self.consumer.books(self.name("bob")).v2.period
        self.consumer.now = period.end - timedelta(microseconds=1 if self.consumer.now < period.end else 0)

    @invariant()
    def both_books_hold_what_was_charged(self) -> None:
        for user in USERS:
            both = self.consumer.books(self.name(user))
            for engine in EngineName:
                book = both.of(engine)
                assert book.used == self.used[user, engine, book.period.start], (user, engine)
                assert min(book.used["analysis"], book.used["roast"]) >= 0

    def teardown(self) -> None:
        for user in USERS:
            rows = self.consumer.journal(self.name(user))
            sums = {"v2": NOTHING, "legacy": NOTHING, "charged": NOTHING}
            for row in rows:
                sums["charged"] += row["charged"]
                for engine in ("v2", "legacy"):
                    sums[engine] += row[f"{engine}_posted"]
            assert sums["v2"] == sums["legacy"] == sums["charged"]


def examples(count: int, steps: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def live(app: Flask, wished: settings) -> None:
    with app.app_context():
        machine = type("Life", (Life,), {"app": app})
        run_state_machine_as_test(machine, settings=wished)
        with read_only() as session:
            found = reconcile(session)
        assert found.clean, found.differences[:3]
        assert found.checked > 0


def test_nothing_is_lost_or_doubled_whatever_happens(app: Flask) -> None:
    live(app, examples(12, 25))


@pytest.mark.long
def test_nothing_is_lost_or_doubled_in_five_hundred_lives(app: Flask) -> None:
    live(app, examples(500, 50))


def test_the_model_would_notice_a_double_charge(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(loaded: Book, request: Request) -> Decision:
        return v2.decide(loaded, Request(request.user_id, request.amounts + request.amounts))

    with app.app_context():
        consumer = Consumer(app, v2=True, engines=Engines(v2=doubled))
        life = type("Life", (Life,), {"app": app})()
        life.consumer = consumer
        life.enter()
        with pytest.raises(AssertionError):
            life.consume("ada", 1, 0)
