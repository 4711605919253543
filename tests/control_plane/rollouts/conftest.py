"""A flag with rings of environments, for the tests of rollouts of single ones."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan
from control_plane.platform.db.database import transaction
from tests.control_plane.rollouts.rings import FLAG, phase


@pytest.fixture
def change(now: datetime) -> ChangeContext:
    """A change by alice."""
    return ChangeContext(now, "alice", "As agreed.")


@pytest.fixture
def ringed(app: Flask, now: datetime, change: ChangeContext) -> Iterator[None]:
    """The flag's own rollout: development, staging and canary as a whole, then production; no gates."""
    rings = phase(AudienceKind.ENVIRONMENTS, 100, named=("development", "staging", "canary"))
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        rollouts.REARM_GATES.set(app, {})
        with transaction() as session:
            rollouts.plan(session, FLAG, Plan((rings, phase("everyone", 10, 100)), now), change)
        yield
