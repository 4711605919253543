"""Every change of a rollout says in the audit how each alert stood, and who made it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Decision, Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

FIGURES = {"status", "bad", "total", "rate", "threshold", "evidence_log10", "attribution"}
Act = Callable[[Session, datetime, int], Decision]


def advance(session: Session, now: datetime, version: int) -> Decision:
    later = now + timedelta(days=3)
    return rollouts.advance(session, FLAG, ChangeContext(later, "alice"), expected_version=version, approval="Seen.")


def step_back(session: Session, now: datetime, version: int) -> Decision:
    return rollouts.step_back(session, FLAG, ChangeContext(now, "alice", "Careful."), expected_version=version)


def hold(session: Session, now: datetime, _version: int) -> Decision:
    return rollouts.hold(session, FLAG, ChangeContext(now, "alice", "Lunch."))


def roll_back(session: Session, now: datetime, _version: int) -> Decision:
    return rollouts.roll_back(session, FLAG, ChangeContext(now, "alice", "Support called."))


@pytest.mark.parametrize("act", [advance, step_back, hold, roll_back])
def test_a_change_by_hand_carries_every_alert_and_its_actor(
    app: Flask, stored_rollout: StoredRollout, act: Act
) -> None:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        for number in range(200):
            signals.record(Sample(FAILURE, bad=number == 0, engine="v2", account=f"u{number}"))
        run_guard(stored_rollout.now + timedelta(seconds=1), 1)
        with transaction() as session:
            assert isinstance(act(session, stored_rollout.now, stored_rollout.rollout.version), Transition)
    (entry,) = stored_rollout.entries(f"rollout.{act.__name__}")
    assert (entry.actor, entry.after is not None) == ("alice", True)
    stood = (entry.after or {})["evidence"]["alerts"]
    assert {"credit_consumption_failure", "credit_variance", "credits_at_risk"} <= stood.keys()
    assert all(set(figures) == FIGURES for figures in stood.values())
    assert (stood[FAILURE]["bad"], stood[FAILURE]["total"], stood[FAILURE]["rate"]) == (1, 200, 0.005)
    assert stood[FAILURE]["threshold"] == 0.01


def test_a_rollback_of_the_guard_carries_them_too(app: Flask, stored_rollout: StoredRollout) -> None:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        for number in range(20):
            signals.record(Sample(FAILURE, bad=True, engine="v2", account=f"u{number}"))
        run_guard(stored_rollout.now + timedelta(seconds=1), 1)
    (entry,) = stored_rollout.entries("rollout.roll_back")
    stood = (entry.after or {})["evidence"]["alerts"][FAILURE]
    assert (entry.actor, stood["status"], stood["bad"], stood["attribution"]) == ("guard", "rollback", 20, "unknown")
    assert stood["evidence_log10"] > 3
