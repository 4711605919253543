"""Callers who ask again and again: it is seen, people are told, and no verdict about v2 moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts import store
from alerts.analysis.verdicts import Status, Verdict
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from control_plane.signal_counts import Counts
from tests.conftest import ROOT
from tests.credits_engine.api.test_operations import Service
from tests.credits_engine.conftest import Consumer

OURS = """
  credit_retry: {threshold: 5%, window: 1m, severity: critical}
  credit_api_conflict: {threshold: 5%, window: 1m, severity: critical}
"""
OPERATIONS, REPEATS = 40, 5


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "alerts.yaml"
    file.write_text((ROOT / "alerts.yaml").read_text("utf-8") + OURS)
    return replace(settings, alerts_file=file)


@pytest.fixture
def started(consumer: Consumer) -> datetime:
    """Start a rollout to 10 % of everyone; return when it was judged first."""
    now = datetime.now(UTC)
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "The guide."))
        found = rollouts.find(session, FLAG)
        after = replace(found, position=Position(3, 0), version=found.version + 1)
        assert rollout_store.compare_and_set(session, after, expected_version=found.version)
        change_feed.publish(session, rollouts.TOPIC, FLAG, now=now)
    for number in range(OPERATIONS):
        consumer.user(f"u{number}")
    run_guard(now, 1)
    return now


@pytest.fixture
def service(consumer: Consumer, settings: Settings) -> Service:
    return Service(consumer.app, settings)


def verdicts_at(now: datetime) -> dict[str, Verdict]:
    """Return every verdict after a tick, by alert."""
    run_guard(now, 1)
    with read_only() as session:
        return {verdict.alert: verdict for verdict in store.latest_verdicts(session, FLAG, attempt=1)}


def counted(signal: str) -> Counts:
    with read_only() as session:
        found = [count for series, count in signals.totals(session).items() if series.signal == signal]
    return Counts(sum(count.bad for count in found), sum(count.total for count in found))


def test_a_storm_of_retries_is_watched_and_moves_nothing_else(service: Service, started: datetime) -> None:
    for number in range(OPERATIONS):
        assert service.consume(userId=f"u{number}", key=f"k{number}").status_code == 200
    calm = verdicts_at(started + timedelta(seconds=1))
    assert {calm[name].status for name in ("credit_retry", "credit_api_conflict")} == {Status.OK}

    for number in range(OPERATIONS):
        for _ in range(REPEATS):
            assert service.consume(userId=f"u{number}", key=f"k{number}").headers["Idempotent-Replayed"] == "true"
        assert service.consume(userId=f"u{number}", key=f"k{number}", amount=1).status_code == 409
    stormy = verdicts_at(started + timedelta(seconds=2))

    assert counted("credit_retry") == Counts(OPERATIONS * REPEATS, OPERATIONS * (REPEATS + 1))
    assert counted("credit_api_conflict") == Counts(OPERATIONS, OPERATIONS * (REPEATS + 2))
    assert {stormy[name].status for name in ("credit_retry", "credit_api_conflict")} == {Status.WATCH}
    assert "This alert only notifies." in stormy["credit_retry"].reason
    # How busy the machine is, is another matter.
    ours = {name for name in stormy if not name.startswith("database_") and "slow" not in name}
    moved = {name for name in ours if stormy[name].status is not calm[name].status}
    assert moved == {"credit_retry", "credit_api_conflict"}
    about_v2 = ("credit_consumption_failure", "credit_variance", "credit_drift")
    assert [stormy[name].counts for name in about_v2] == [calm[name].counts for name in about_v2]
    with read_only() as session:
        assert rollouts.find(session, FLAG).state is RolloutState.RUNNING
