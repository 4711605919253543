"""Counters, clocks, people and the guard at random: whatever happens, what was promised of rollbacks holds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest
from flask import Flask

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout, RolloutState, exposure
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.signal_counts import Counts
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE, ROUTED

pytestmark = pytest.mark.faults

SIGNALS = (FAILURE, "credit_variance", "credit_drift", "api_error_rate", "billing_webhook_failure")
RATES = (0.0, 0.0, 0.0, 0.001, 0.01, 0.05, 0.5)


@dataclass
class RandomEvents:
    """Everything that may happen, drawn from one seed."""

    random: Random
    now: datetime
    rolled_back: int = field(default=0)
    ticks: int = field(default=0)

    def run(self, ticks: int) -> None:
        """Let so many ticks pass, each after something happened, and hold every step against the promises."""
        before = self._rollout()
        while self.ticks < ticks:
            happen = self.random.choices((self._tick, self._person), (30, 1))[0]
            happen()
            after = self._rollout()
            self._check(before, after, by_guard=happen == self._tick)
            before = after

    def _tick(self) -> None:
        self.ticks += 1
        self.now += timedelta(seconds=self.random.choice((1, 1, 1, 1, 15, 300, 3600, -3600)))
        with transaction() as session:
            for signal in self.random.sample(SIGNALS, 2):
                total = self.random.choice((0, 1, 20, 500))
                bad = sum(self.random.random() < self.random.choice(RATES) for _ in range(total))
                engine = "v2" if signal == FAILURE else ""
                signals.add(session, SeriesKey(signal, engine), Counts(bad, total), self.now)
        if self.random.random() < 0.2:
            signals.record(Sample(ROUTED, bad=False, engine="v2"))
        run_guard(self.now, 1)

    def _person(self) -> None:
        found = self._rollout()
        with transaction() as session:
            match self.random.choice(("hold", "resume", "roll_back", "rearm", "step_back")):
                case "hold":
                    rollouts.hold(session, FLAG, ChangeContext(self.now, "olga", "By chance."))
                case "resume":
                    rollouts.resume(session, FLAG, ChangeContext(self.now, "olga", "By chance."))
                case "roll_back" if self.random.random() < 0.2:
                    rollouts.roll_back(session, FLAG, ChangeContext(self.now, "olga", "By chance."))
                case _:
                    self.now = max(self.now, found.state_changed_at) + timedelta(days=8 if found.latched else 0)
                    rollouts.rearm(
                        session, FLAG, ChangeContext(self.now, "olga", "By chance."), expected_version=found.version
                    )

    def _check(self, before: Rollout, after: Rollout, *, by_guard: bool) -> None:
        assert after.version >= before.version
        if after.latched:
            assert exposure(after, PRODUCTION).empty
        if before.latched and by_guard:
            assert after == before, "nothing but a person ends a rollback, and a second cause changes nothing"
        if by_guard:
            assert (after.attempt, after.position) == (before.attempt, before.position)
            assert after.version <= before.version + 1
        if by_guard and before.state is RolloutState.HELD and not before.held_by_guard:
            assert after == before or after.latched, "the hold of a person outlasts everything but a rollback"
        if by_guard and after.latched and not before.latched:
            self.rolled_back += 1
            self._check_evidence(after)

    def _check_evidence(self, after: Rollout) -> None:
        with read_only() as session:
            entry = audit.latest(session, subject=f"rollout:{FLAG}", limit=1)[0]
        assert entry.after is not None
        assert (entry.actor, entry.after["attempt"]) == ("guard", after.attempt)
        for verdict in entry.after["evidence"]["verdicts"]:
            assert 0 <= verdict["counts"]["bad"] <= verdict["counts"]["total"]
            assert verdict["threshold_text"]
            assert verdict["attribution"]
            reached = verdict["evidence_log10"] >= verdict["rollback_log10"]
            assert reached or "nothing was counted" in verdict["cause"]

    def _rollout(self) -> Rollout:
        with read_only() as session:
            return rollouts.find(session, FLAG)


@pytest.fixture
def stored_rollout(app: Flask, now: datetime) -> Iterator[StoredRollout]:
    stored_rollout = StoredRollout(app, now)
    stored_rollout.plan()
    with app.app_context():
        yield stored_rollout


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_the_promises_of_a_rollback_hold(stored_rollout: StoredRollout, seed: int) -> None:
    chance = RandomEvents(Random(seed), stored_rollout.now)
    chance.run(300)
    assert chance.rolled_back > 0


@pytest.mark.long
@pytest.mark.database("sqlite")
def test_they_hold_for_a_hundred_thousand_ticks(stored_rollout: StoredRollout) -> None:
    chance = RandomEvents(Random(7), stored_rollout.now)
    chance.run(100_000)
    assert chance.rolled_back > 0
