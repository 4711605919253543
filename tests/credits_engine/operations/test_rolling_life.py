"""Periods that roll over, against a model that counts by itself; operations go the product's way on either database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from flask import Flask
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed, leases
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import KINDS, Amounts, Kind
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.expiry_jobs import sweep_packs
from credits_engine.operations import rollovers
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.operations.period_openings import open_missing_periods
from credits_engine.reconciliation.journal import reconcile
from flags.administration.overrides import put_override, remove_override
from flags.store import Effect
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.credits_engine.operations.test_random_life import examples
from tests.credits_engine.rolling import rolling
from tests.installation import A_YEAR, Installation

LIMITS = {"v2": {"analysis": 100, "roast": 10}, "legacy": {"analysis": 100, "roast": 50}}
DAY = timedelta(days=1)


@dataclass
class ModelPack:
    """A pack as the model has it; what rolled over is one."""

    kind: str
    remaining: int
    ends: datetime


def months_later(start: datetime, months: int) -> datetime:
    years, month = divmod(start.month - 1 + months, 12)
    return start.replace(year=start.year + years, month=month + 1)


class RollingLife(RuleBasedStateMachine):
    """One user of `free` lives through months, of which 60 analysis credits and half of the roasts roll over."""

    app: ClassVar[Flask]
    run: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).run += 1
        self.user, self.now, self.engine, self.keys = f"ada{self.run}", NOW, EngineName.LEGACY, 0
        self.month: datetime | None = None
        self.used: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.packs: list[ModelPack] = []

    @initialize()
    def enter(self) -> None:
        Consumer(self.app).user(self.user)

    def open(self) -> None:
        """Open the month in the model: what is left rolls over."""
        month = self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if month == self.month:
            return
        if self.month and months_later(self.month, 1) == month:
            left = {kind: max(LIMITS["v2"][kind] - self.used[kind], 0) for kind in KINDS}
            self.packs.append(ModelPack("analysis", min(left[Kind("analysis")], 60), months_later(month, 1)))
            self.packs.append(ModelPack("roast", min(left[Kind("roast")], 5), months_later(month, 2)))
        self.month, self.used = month, dict.fromkeys(KINDS, 0)

    def usable(self, kind: str) -> list[ModelPack]:
        # Of two that end together the one that was there first pays first.
        return sorted((each for each in self.packs if each.kind == kind and each.ends > self.now), key=lambda p: p.ends)

    @rule(analysis=st.integers(0, 130), roast=st.integers(0, 14))
    def consume(self, analysis: int, roast: int) -> None:
        if analysis + roast == 0:
            return
        self.open()
        asked = {"analysis": analysis, "roast": roast}
        self.keys += 1
        receipt = run_operation(Operation(self.user, f"k{self.keys}", Amounts(**asked), "test"), now=self.now)
        assert receipt.served.engine is self.engine
        beyond = {}
        for kind in KINDS:
            left = max(LIMITS[self.engine][kind] - self.used[kind], 0)
            beyond[kind] = max(asked[kind] - left, 0)
        fits = all(beyond[kind] <= sum(each.remaining for each in self.usable(kind)) for kind in KINDS if asked[kind])
        assert receipt.outcome is (Outcome.ALLOWED if fits else Outcome.DENIED_LIMIT)
        if fits:
            assert receipt.spent_from_packs == Amounts(**beyond)
            for kind in KINDS:
                self.used[kind] += asked[kind] - beyond[kind]
                self.draw(kind, beyond[kind])

    def draw(self, kind: str, missing: int) -> None:
        for each in self.usable(kind):
            part = min(missing, each.remaining)
            each.remaining -= part
            missing -= part

    @rule(hours=st.integers(0, 400))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def to_the_turn_of_the_month(self) -> None:
        self.now = months_later(self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), 1)

    @rule()
    def sweep(self) -> None:
        """Open the period by the clock, and expire what has ended."""
        self.open()
        with transaction() as session:
            open_missing_periods(session, [self.user], self.now)
        sweep_packs(self.now)

    @rule(engine=st.sampled_from(EngineName))
    def flip(self, engine: EngineName) -> None:
        self.engine = engine
        change = ChangeContext(self.now, "test", "A flip.")
        with transaction() as session:
            if engine is EngineName.V2:
                put_override(session, FLAG, self.user, Effect.ALLOW, change)
            else:
                remove_override(session, FLAG, self.user, Effect.ALLOW, change)
        change_feed.feed().refresh()

    @rule(kind=st.sampled_from(KINDS), amount=st.integers(1, 40), days=st.integers(1, 70))
    def buy(self, kind: Kind, amount: int, days: int) -> None:
        ends = self.now + timedelta(days=days, seconds=1)
        purchase = Purchase(self.user, kind, amount, ends)
        with transaction() as session:
            top_ups.top_up(session, purchase, ChangeContext(self.now, "test", "Bought."))
        self.packs.append(ModelPack(kind, amount, ends))

    @rule()
    def reset(self) -> None:
        self.open()
        with transaction() as session:
            corrections.reset(session, self.user, ChangeContext(self.now, "test", "A gift."))
        self.used = dict.fromkeys(KINDS, 0)

    @invariant()
    def packs_hold_what_the_model_says(self) -> None:
        consumer = Consumer(self.app, now=self.now)
        shown = sorted((pack.kind, pack.remaining, pack.expires_at) for pack in consumer.books(self.user).packs)
        known = sorted(
            (each.kind, each.remaining, each.ends) for each in self.packs if each.remaining and each.ends > self.now
        )
        assert shown == known


@contextmanager
def begun(app: Flask) -> Iterator[type[RollingLife]]:
    """Yield a rule, and a guard whose lease is longer than any life: without it nobody would be served by v2."""
    installation = Installation(app)
    installation.plan()
    with app.app_context(), transaction() as session:
        leases.heartbeat(session, now=NOW, term=10**6, ttl_seconds=100 * A_YEAR)
    installation.publish()
    with app.app_context(), rolling("free", datetime(2027, 1, 1, tzinfo=UTC)):
        yield type("RollingLife", (RollingLife,), {"app": app})


def live(app: Flask, wished: settings) -> None:
    with begun(app) as machine:
        run_state_machine_as_test(machine, settings=wished)
        with read_only() as session:
            found = reconcile(session)
        assert found.clean, (found.differences[:3], found.packs)


def test_whatever_happens_each_period_rolls_over_once(app: Flask) -> None:
    live(app, examples(8, 25))


@pytest.mark.long
def test_each_period_rolls_over_once_in_five_hundred_lives(app: Flask) -> None:
    live(app, examples(500, 50))


def test_the_model_would_notice_a_credit_too_many(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollovers, "rolled_over", lambda *_: Amounts(61, 5))
    with begun(app) as machine:
        life = machine()
        life.enter()
        life.consume(1, 0)
        life.to_the_turn_of_the_month()
        life.consume(1, 0)
        with pytest.raises(AssertionError):
            life.packs_hold_what_the_model_says()
