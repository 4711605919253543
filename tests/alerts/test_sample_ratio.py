"""Exposure that is not what the plan says is held; chance is not taken for it."""

import random
from datetime import timedelta
from math import inf, log

import pytest
from flask import Flask

from alerts.sample_ratio import MISMATCH_LOG_E, check, log_mismatch
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.rollouts import sample_ratio
from control_plane.rollouts.sample_ratio import RatioQuery, SampleRatio
from tests.alerts.conftest import StoredRollout


@pytest.mark.parametrize(
    ("split", "wrong"),
    [
        (SampleRatio(100, 1000, 0.1), False),
        (SampleRatio(120, 1000, 0.1), False),
        (SampleRatio(160, 1000, 0.1), True),
        (SampleRatio(50, 1000, 0.1), True),
        (SampleRatio(0, 60, 0.1), False),
        (SampleRatio(0, 300, 0.1), True),
        (SampleRatio(30, 30, 0.5), True),
        (SampleRatio(0, 0, 0.5), False),
    ],
)
def test_a_share_is_wrong_when_chance_no_longer_explains_it(split: SampleRatio, wrong: bool) -> None:
    assert (log_mismatch(split) >= MISMATCH_LOG_E) is wrong


def test_where_everybody_is_in_one_outside_is_enough() -> None:
    assert log_mismatch(SampleRatio(999, 1000, 1.0)) == inf
    assert log_mismatch(SampleRatio(1000, 1000, 1.0)) == 0


def test_a_right_split_that_is_looked_at_after_each_user_is_hardly_ever_doubted() -> None:
    chance, doubted = random.Random(7), 0
    for _ in range(400):
        inside, highest = 0, 0.0
        for total in range(1, 301):
            inside += chance.random() < 0.25
            highest = max(highest, log_mismatch(SampleRatio(inside, total, 0.25)))
        doubted += highest >= log(20)
    assert doubted / 400 <= 0.05


def test_a_wrong_split_holds_with_its_figures_until_a_person_resumes(app: Flask, stored_rollout: StoredRollout) -> None:
    with app.app_context():
        sample_ratio.register_ratio_query(lambda _session, _rollout, _since: SampleRatio(400, 1000, 0.1))
        check(stored_rollout.now + timedelta(seconds=5))
        assert stored_rollout.rollout.state is RolloutState.RUNNING, "what began before the step may still end"
        check(stored_rollout.now + timedelta(seconds=30))
        assert (stored_rollout.rollout.state, stored_rollout.rollout.held_by_guard) == (RolloutState.HELD, False)
        assert "400 of 1,000 users were let in (40.0%), the step asks for 10%." in stored_rollout.rollout.state_reason
        (entry,) = stored_rollout.entries("rollout.hold")
        assert entry.after is not None
        assert {name: entry.after["evidence"][name] for name in ("bad", "total", "rate", "threshold")} == {
            "bad": 400,
            "total": 1000,
            "rate": 0.4,
            "threshold": 0.1,
        }
        with transaction() as session:
            rollouts.resume(session, FLAG, ChangeContext(stored_rollout.now, "olga", "A campaign to the beta list."))
        check(stored_rollout.now + timedelta(minutes=2))
        assert stored_rollout.rollout.state is RolloutState.RUNNING


def always(split: SampleRatio | None) -> RatioQuery:
    return lambda _session, _rollout, _since: split


def test_a_right_split_and_one_nobody_counts_hold_nothing(app: Flask, stored_rollout: StoredRollout) -> None:
    with app.app_context():
        for split in (SampleRatio(100, 1000, 0.1), None, SampleRatio(0, 0, 0.1)):
            sample_ratio.register_ratio_query(always(split))
            check(stored_rollout.now + timedelta(seconds=30))
    assert stored_rollout.rollout.state is RolloutState.RUNNING
