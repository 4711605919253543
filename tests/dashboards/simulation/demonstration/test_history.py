"""The made-up past: it ends now, the guide's rollout has gone through it, and the same users go on."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from dashboards.simulation.demonstration import history
from dashboards.simulation.demonstration.history import DAYS, LATEST, Usage

pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]
SOAK = timedelta(seconds=15)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a past of fewer operations than a visitor sees."""
    monkeypatch.setattr(history, "EARLIER_OPERATIONS", 150)
    monkeypatch.setattr(history, "LATEST_OPERATIONS", 30)


@pytest.mark.usefixtures("short")
def test_the_past_ends_now_and_its_last_hour_is_dense() -> None:
    now = datetime.now(UTC)
    rows = list(Usage(seed=1, now=now).past())
    times = [row.occurred_at for row in rows]
    assert times == sorted(times)
    assert now - DAYS - SOAK < times[0] < times[-1] < now
    recent = sum(at > now - LATEST for at in times)
    assert 15 < recent < 60
    assert all(row.signed_up_at is not None and row.signed_up_at <= row.occurred_at for row in rows)


@pytest.mark.usefixtures("short")
def test_the_present_goes_on_with_the_same_users_and_new_ones_sign_up_now() -> None:
    now = datetime.now(UTC)
    usage = Usage(seed=1, now=now)
    known = {row.user_id for row in usage.past()}
    present = list(islice(usage.present(), 200))
    assert known & {row.user_id for row in present}
    signups = [row.signed_up_at for row in present if row.user_id not in known and row.signed_up_at is not None]
    assert any(since >= now for since in signups)
    assert max(signups) <= datetime.now(UTC)


def test_the_rollout_has_come_some_way_and_goes_on_in_short_steps(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "EARLIER_OPERATIONS", 1000)
    now = datetime.now(UTC)
    usage = Usage(seed=1, now=now)
    with app.app_context():
        history.perform(usage, beta=frozenset({"u1"}), seed=1)
        history.shorten(SOAK, now)
        with read_only() as session:
            found = rollouts.find(session, FLAG)
            actions = {entry.action for entry in audit.every(session)}
    assert found.position.phase > 0
    assert {phase.soak for phase in found.plan.phases} == {SOAK}
    assert "rollout.edit_plan" in actions
