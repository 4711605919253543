"""The main job: a healthy release on a year of recorded usage."""

from pathlib import Path

import pytest

from tests.journeys.usage import OPERATIONS, replay_usage

pytestmark = pytest.mark.faults


def test_a_healthy_release_reaches_the_last_phase_unaided(recorded_usage: Path) -> None:
    report = replay_usage(str(recorded_usage))
    assert report["operations"] == OPERATIONS
    assert [phase["name"] for phase in report["phases"]] == ["development", "beta", "new-signups", "everyone"]
    assert report["final_phase"] == "everyone"
    assert report["rollbacks"] == []
    assert report["holds_left_to_people"] == 0
    assert report["variance"]["defect"] == 0
    assert report["reconcile"]["differences"] == 0
    assert report["reconcile"]["checked"] > 0
    assert sum(report["served"].values()) == report["operations"] == sum(report["variance"].values())
    assert report["phases"][0]["exposed_users"] == 0
    assert report["phases"][1]["approved"], "the beta is too small to prove anything and says so"
