"""One answer where an environment has a rollout of its own: Python's, and PostgreSQL's both ways."""

from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import PRE_PRODUCTION, Phase, Plan
from control_plane.core.transitions import Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import leases
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.credits_engine.operations.test_latch_scope import the_answer

WHOLE = Phase("whole", "All", AudienceKind.ENVIRONMENTS, (100,), timedelta(0), environments=("staging",))
AUDIENCES = {
    "whole": (WHOLE, True),
    "everyone": (Phase("everyone", "Everyone", AudienceKind.EVERYONE, (100,), timedelta(0)), True),
    "nobody": (Phase("beta", "Beta", AudienceKind.ALLOWLIST, (100,), timedelta(0)), False),
    "newcomers": (Phase("new", "New", AudienceKind.NEW_SIGNUPS, (100,), timedelta(0)), True),
}


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("latched", [None, FLAG, f"{FLAG}@staging"])
def test_each_answers_by_the_rollout_of_its_environment(consumer: Consumer, audience: str, latched: str | None) -> None:
    consumer.user("ada")
    phase, is_in = AUDIENCES[audience]
    with transaction() as session:
        change = ChangeContext(NOW, "test", "Planned.")
        rollouts.plan(session, FLAG, default_plan(NOW), change)
        leases.heartbeat(session, now=NOW, term=1, ttl_seconds=3600)
        plan = Plan((phase,), NOW - timedelta(days=1), environment="staging")
        made = rollouts.plan(session, f"{FLAG}@staging", plan, change, confirm_losing=True)
        assert isinstance(made, Transition)
        if latched:
            rollouts.roll_back(session, latched, change)
    on = {each: the_answer(each, audience) for each in (*PRE_PRODUCTION, PRODUCTION)}
    assert on == {"development": True, "staging": is_in and latched != f"{FLAG}@staging", PRODUCTION: False}
