"""What happens to the guard when what it stands on gives way, on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from alerts import guard, store
from alerts.definitions import rules_file
from alerts.guard_job import run_guard
from alerts.notifications import store as notices
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import leases
from control_plane.platform.settings import Settings
from tests.alerts.conftest import StoredRollout
from tests.conftest import ROOT
from tests.credit_signals import FAILURE
from tests.outages import unreachable

SECOND = timedelta(seconds=1)
NEVER_MEASURED = """
  nobody_measures_this:
    threshold: 1%
    window: 1m
    severity: critical
    metric: nobody_measures_this
"""


@pytest.fixture
def alerts_file(tmp_path: Path) -> Path:
    """A copy of the alerts we ship, and one alert on a measurement that nobody makes."""
    path = tmp_path / "alerts.yaml"
    path.write_text((ROOT / "alerts.yaml").read_text() + NEVER_MEASURED)
    return path


@pytest.fixture
def settings(settings: Settings, alerts_file: Path) -> Settings:
    return replace(settings, alerts_file=alerts_file)


@pytest.fixture
def stored_rollout(app: Flask, now: datetime) -> StoredRollout:
    """A rollout at 10 % of everyone."""
    stored_rollout = StoredRollout(app, now)
    stored_rollout.plan()
    return stored_rollout


@pytest.fixture(autouse=True)
def at_work(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        yield


def fail(times: int = 12) -> None:
    for number in range(times):
        signals.record(Sample(FAILURE, bad=True, engine="v2", account=f"u{number}"))


def outcomes() -> int:
    """Return the number of outcomes in the evidence of this attempt."""
    with read_only() as session:
        verdicts = store.latest_verdicts(session, FLAG, attempt=1)
    return next(verdict.counts.total for verdict in verdicts if verdict.alert == FAILURE)


def test_a_leader_killed_in_the_middle_of_a_tick_leaves_nothing_and_the_next_one_finishes(
    stored_rollout: StoredRollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail()
    with monkeypatch.context() as patched:
        patched.setattr(store, "remember", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            run_guard(stored_rollout.now + SECOND, 1)
    assert (stored_rollout.rollout.state, outcomes()) == (RolloutState.RUNNING, 0)
    run_guard(stored_rollout.now + 2 * SECOND, 2)
    assert (stored_rollout.rollout.state, outcomes()) == (RolloutState.ROLLED_BACK, 12), (
        "no outcome was lost or counted twice"
    )


def test_of_two_leaders_the_older_one_is_refused(stored_rollout: StoredRollout) -> None:
    run_guard(stored_rollout.now + SECOND, 2)
    fail()
    with pytest.raises(guard.FencedError):
        run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert (stored_rollout.rollout.state, outcomes()) == (RolloutState.RUNNING, 0)
    run_guard(stored_rollout.now + 3 * SECOND, 2)
    assert (stored_rollout.rollout.state, outcomes()) == (RolloutState.ROLLED_BACK, 12)


def test_a_database_that_is_away_for_a_minute_costs_no_evidence_and_ends_exposure(
    app: Flask, stored_rollout: StoredRollout
) -> None:
    fail()
    with unreachable(app):
        for second in range(1, 61, 10):
            with pytest.raises(OperationalError):
                run_guard(stored_rollout.now + second * SECOND, 1)
    with read_only() as session:
        expires_at = leases.guard_expires_at(session)
    assert expires_at is not None
    assert expires_at < stored_rollout.now + 60 * SECOND, "nobody is exposed after half a minute without the guard"
    run_guard(stored_rollout.now + 61 * SECOND, 1)
    assert (stored_rollout.rollout.state, outcomes()) == (RolloutState.ROLLED_BACK, 12)


@pytest.mark.parametrize("damage", ["deleted", "half written", "emptied", "wrong"])
def test_damaged_alerts_leave_those_in_force_that_were_read_before(
    alerts_file: Path, stored_rollout: StoredRollout, damage: str
) -> None:
    whole = alerts_file.read_text()
    match damage:
        case "deleted":
            alerts_file.unlink()
        case "half written":
            alerts_file.write_text(whole[: whole.rindex("window") + 3])
        case "emptied":
            alerts_file.write_text("")
        case _:
            alerts_file.write_text(whole.replace("threshold: 1%", "threshold: one per cent"))
    run_guard(stored_rollout.now + SECOND, 1)
    fail()
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK
    assert rules_file.current().problem is not None
    alerts_file.write_text(whole)
    for second in (3, 4):
        run_guard(stored_rollout.now + second * SECOND, 1)
    assert rules_file.current().problem is None


def test_a_file_that_is_still_being_written_is_not_read(alerts_file: Path, stored_rollout: StoredRollout) -> None:
    whole, before = alerts_file.read_text(), rules_file.current().rules
    alerts_file.write_text(whole[: whole.index("  api_error_rate")])  # valid as it is, with one alert
    run_guard(stored_rollout.now + SECOND, 1)
    alerts_file.write_text(whole.replace("threshold: 1%", "threshold: 2%"))
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert rules_file.current().rules == before
    run_guard(stored_rollout.now + 3 * SECOND, 1)
    assert [rule.name for rule in rules_file.current().rules] == [rule.name for rule in before]
    assert rules_file.current().rules != before


def test_an_alert_whose_measurement_never_existed_is_told_and_never_acts(stored_rollout: StoredRollout) -> None:
    for minute in range(1, 40):
        run_guard(stored_rollout.now + timedelta(minutes=minute), 1)
    with read_only() as session:
        told = [notice.title for notice, _ in notices.latest(session)]
        verdicts = store.latest_verdicts(session, FLAG, attempt=1)
    assert told.count("nobody_measures_this has nothing to judge by") == 1
    (verdict,) = (each for each in verdicts if each.alert == "nobody_measures_this")
    assert (verdict.status, stored_rollout.rollout.state) == ("insufficient", RolloutState.RUNNING)


def test_a_tick_that_fails_is_no_heartbeat(stored_rollout: StoredRollout, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction() as session:
        before = leases.guard_expires_at(session)
    monkeypatch.setattr(guard, "_judge_rollout", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_guard(stored_rollout.now + SECOND, 1)
    with read_only() as session:
        assert leases.guard_expires_at(session) == before
