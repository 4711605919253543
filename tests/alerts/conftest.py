"""A rollout that exposes users, and what happens to it."""

from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store

TENTH = Position(3, 0)


class StoredRollout:
    """The rollout of the guide's flag as the database has it."""

    def __init__(self, app: Flask, now: datetime) -> None:
        self.app = app
        self.now = now

    def plan(self, position: Position = TENTH) -> None:
        """Begin the guide's rollout and put it at `position`, past every gate."""
        with self.app.app_context(), transaction() as session:
            rollouts.plan(session, FLAG, default_plan(self.now), ChangeContext(self.now, "alice", "The guide."))
            found = rollouts.find(session, FLAG)
            after = replace(found, position=position, version=found.version + 1)
            assert store.compare_and_set(session, after, expected_version=found.version)

    @property
    def rollout(self) -> Rollout:
        """The rollout as the database has it."""
        with self.app.app_context(), read_only() as session:
            return rollouts.find(session, FLAG)

    def entries(self, action: str) -> list[audit.AuditEntry]:
        """Return the audit trail's entries of one action, the newest first."""
        with self.app.app_context(), read_only() as session:
            return [entry for entry in audit.latest(session, limit=500) if entry.action == action]


@pytest.fixture
def stored_rollout(app: Flask, now: datetime) -> StoredRollout:
    """A rollout at 10 % of everyone."""
    stored_rollout = StoredRollout(app, now)
    stored_rollout.plan()
    return stored_rollout
