"""A rollout to look at."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from tests.dashboards.browsing import read_session, write_session


@pytest.fixture
def planned(app: Flask) -> Rollout:
    """The guide's rollout, planned 65 minutes ago: long enough that its figures don't change from second to second."""
    moment = datetime.now(UTC) - timedelta(minutes=65)
    with write_session(app) as session:
        rollouts.plan(session, FLAG, default_plan(moment), ChangeContext(moment, "system", "The guide."))
        return rollouts.find(session, FLAG)


@pytest.fixture
def current_rollout(app: Flask, planned: Rollout) -> Callable[[], Rollout]:
    """Return a function that reads the rollout as it is in the database now."""

    def look() -> Rollout:
        with read_session(app) as session:
            return rollouts.find(session, planned.flag)

    return look
