"""What the flags have against a plan: a name that another flag has."""

from datetime import datetime

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.transitions import Refusal, Transition
from control_plane.platform.db.database import transaction
from flags.administration.imports import ImportOptions, import_definitions

SEARCH = "SEARCH"


@pytest.fixture(autouse=True)
def defined(app: Flask, now: datetime) -> None:
    """A flag in Unleash's own words, without a rollout."""
    strategy = {"name": "default", "parameters": {}}
    feature = {"name": SEARCH, "enabled": True, "strategies": [strategy]}
    with app.app_context(), transaction() as session:
        change = ChangeContext(now, "alice", "From Unleash.")
        import_definitions(session, "production", {"features": [feature]}, change, ImportOptions())


@pytest.mark.parametrize(("flag", "expected"), [(SEARCH, Refusal), ("SEARCH_2", Transition)])
def test_a_name_that_a_flag_without_a_rollout_has_is_refused(
    app: Flask, now: datetime, flag: str, expected: type
) -> None:
    with app.app_context(), transaction() as session:
        decision = rollouts.plan(session, flag, default_plan(now), ChangeContext(now, "alice", "Planned."))
    assert isinstance(decision, expected)
    if isinstance(decision, Refusal):
        assert decision.reasons[0].code == "FLAG_EXISTS"
        assert "in production." in decision.sentence
