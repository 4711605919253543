"""A file of alerts that is edited while one of them holds, on both databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from alerts import gates
from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.guard_job import run_guard
from control_plane.core.gates import GateStatus
from control_plane.core.phases import RolloutState
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

WINDOW = timedelta(minutes=5)
OTHER = "credit_variance: {threshold: 1%, window: 5m, severity: critical}"
HOLDS = "credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical, action: hold}"


@dataclass
class Guarded:
    """A rollout, the alerts that watch it, and the guard."""

    rollout: StoredRollout
    path: Path
    now: datetime

    def write(self, *alerts: str) -> None:
        """Replace the alerts; a change is read at the second look."""
        self.path.write_text("\n".join(["alerts:", *(f"  {each}" for each in alerts)]))
        self.look()
        self.look()

    def look(self, *, bad: int = 0, total: int = 0, pass_by: timedelta = timedelta(seconds=1)) -> RolloutState:
        """Count outcomes of v2, and look a time later."""
        self.now += pass_by
        signals.record(*(Sample(FAILURE, number < bad, "v2", account=f"u{number}") for number in range(total)))
        run_guard(self.now, 1)
        return self.rollout.rollout.state

    def gate(self) -> GateStatus:
        """Return whether the alerts let the rollout advance."""
        with read_only() as session:
            return gates.guardrails(session, self.rollout.rollout, self.now).status


@pytest.fixture
def guarded(app: Flask, stored_rollout: StoredRollout, tmp_path: Path) -> Iterator[Guarded]:
    """An alert holds the rollout."""
    path = tmp_path / "alerts.yaml"
    path.write_text(f"alerts:\n  {OTHER}\n  {HOLDS}")
    with app.app_context():
        RULES_FILE.set(app, RulesFile(path))
        guarded = Guarded(stored_rollout, path, stored_rollout.now)
        guarded.look()
        assert guarded.look(bad=20, total=40) is RolloutState.HELD
        yield guarded


def test_another_threshold_ends_a_hold_after_a_calm_window_alone(guarded: Guarded) -> None:
    guarded.write(OTHER, HOLDS.replace("1%", "2%"))
    assert guarded.rollout.rollout.state is RolloutState.HELD
    assert guarded.look(bad=20, total=40) is RolloutState.HELD


def test_another_threshold_that_nothing_exceeds_ends_it(guarded: Guarded) -> None:
    guarded.write(OTHER, HOLDS.replace("1%", "2%"))
    assert guarded.look(total=40, pass_by=WINDOW) is RolloutState.RUNNING
    assert guarded.rollout.rollout.state_reason == "No alert holds it any more."


def test_an_alert_that_was_taken_out_holds_nothing_up(guarded: Guarded) -> None:
    assert guarded.gate() is GateStatus.CLOSED
    guarded.write(OTHER)
    assert guarded.rollout.rollout.state is RolloutState.RUNNING
    assert guarded.gate() is GateStatus.OPEN


def test_an_alert_that_is_put_back_begins_anew(guarded: Guarded) -> None:
    guarded.write(OTHER)
    guarded.write(OTHER, HOLDS)
    assert guarded.rollout.rollout.state is RolloutState.RUNNING
    assert guarded.look(bad=20, total=40) is RolloutState.HELD
