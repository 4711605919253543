"""An attempt that begins within the hour of an incident: one account's failures are one account's again."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from alerts import alert_states, store
from alerts.definitions import rules_file
from alerts.definitions.parser import parse
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Position, RolloutState
from control_plane.core.transitions import Action
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import SignalAccount
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.rollouts.publication import RolloutChanged
from tests.alerts.test_guard import exposed, pairs, rollout, stand_at
from tests.credit_signals import FAILURE

__all__ = ["exposed"]

MINUTE = timedelta(minutes=1)


def test_an_account_has_no_share_of_the_incident_before(now: datetime) -> None:
    incident = now + 31 * MINUTE  # at a minute past ten, so that the cool-down ends in the same hour
    pairs(good=10, bad=60)
    run_guard(incident, 1)
    assert rollout().state is RolloutState.ROLLED_BACK
    again = incident + 40 * MINUTE
    with transaction() as session:
        change = ChangeContext(again, "alice", "Fixed in 2.1.")
        rollouts.rearm(session, FLAG, change, expected_version=rollout().version)
    stand_at(Position(3, 0))
    run_guard(again, 1)
    for _ in range(60):
        signals.record(Sample(FAILURE, bad=True, engine="v2", account="broken"))
    pairs(good=200)
    run_guard(again + MINUTE, 1)
    with read_only() as session:
        (found,) = [each for each in store.latest_verdicts(session, FLAG, attempt=2) if each.alert == FAILURE]
    assert found.counts.bad == pytest.approx(1, abs=1)
    assert rollout().state is RolloutState.RUNNING


@pytest.mark.parametrize(("by_guard", "remembered"), [(True, 0), (False, 1)])
def test_a_step_back_of_the_guard_is_another_attempt_and_one_of_a_person_is_not(
    now: datetime, *, by_guard: bool, remembered: int
) -> None:
    signals.record(Sample(FAILURE, bad=True, engine="v2", account="broken"))
    signals.flush(now)
    after = replace(rollout(), stepped_back_at=now if by_guard else None)
    with transaction() as session:
        changed = RolloutChanged(Action.STEP_BACK, after, ChangeContext(now, "guard", "Over its threshold."))
        alert_states.begin_attempt(session, changed)
        assert session.scalar(select(func.count()).select_from(SignalAccount)) == remembered


def test_a_flag_without_a_migration_begins_anew_as_well(now: datetime) -> None:
    alert = "{metric: checkout_failure, threshold: 1%, window: 5m, severity: critical, flag: NEW_CHECKOUT}"
    rules_file.current().rules = parse(f"alerts: {{checkout_failure: {alert}}}")
    signals.record(Sample("checkout_failure", bad=True, account="broken"))
    signals.flush(now)
    after = replace(rollout(), flag="NEW_CHECKOUT")
    with transaction() as session:
        alert_states.begin_attempt(session, RolloutChanged(Action.REARM, after, ChangeContext(now, "ann", "Fixed.")))
        assert not session.scalar(select(func.count()).select_from(SignalAccount))
