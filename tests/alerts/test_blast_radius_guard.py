"""A step that put more at stake than its plan allows is held once, until a person has looked."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.rollouts import blast_radius, store
from control_plane.rollouts.blast_radius import BlastRadius, violated_limits
from tests.alerts.conftest import StoredRollout


@pytest.fixture(autouse=True)
def capped(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    """Every phase may serve five users and fifty operations."""
    with app.app_context():
        with transaction() as session:
            found = rollouts.find(session, FLAG)
            phases = tuple(replace(phase, users_maximum=5, operations_maximum=50) for phase in found.plan.phases)
            after = replace(found, plan=replace(found.plan, phases=phases), version=found.version + 1)
            assert store.compare_and_set(session, after, expected_version=found.version)
        yield


def test_a_cap_holds_once_and_a_person_goes_on(stored_rollout: StoredRollout) -> None:
    blast_radius.register_impact_query(
        FLAG, lambda _session, _since: BlastRadius(users=5, operations=50, credits_at_risk=9)
    )
    run_guard(stored_rollout.now, 1)
    assert stored_rollout.rollout.state is RolloutState.RUNNING, "a cap may be used up"
    blast_radius.register_impact_query(FLAG, lambda _session, _since: BlastRadius(users=6, operations=50))
    run_guard(stored_rollout.now + timedelta(seconds=11), 1)
    assert (stored_rollout.rollout.state, stored_rollout.rollout.held_by_guard) == (RolloutState.HELD, False)
    assert "6 users served by v2 in this step, 5 are allowed." in stored_rollout.rollout.state_reason
    with transaction() as session:
        rollouts.resume(session, FLAG, ChangeContext(stored_rollout.now, "olga", "They are our own."))
    run_guard(stored_rollout.now + timedelta(seconds=30), 1)
    assert stored_rollout.rollout.state is RolloutState.RUNNING


def test_each_cap_is_named_that_is_exceeded(stored_rollout: StoredRollout) -> None:
    phase = replace(stored_rollout.rollout.phase, credits_maximum=0)
    assert violated_limits(phase, BlastRadius(5, 50, 0)) == []
    assert len(violated_limits(phase, BlastRadius(6, 51, 1))) == 3
