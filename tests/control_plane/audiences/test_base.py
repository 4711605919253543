"""A kind of audience from outside: everything that is done with an audience follows from its one class."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from yggdrasil_engine.engine import UnleashEngine

from control_plane.audiences.base import KINDS, ConstraintAudience, Opening, register_audience
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.phases import Plan, Position, exposure_at
from control_plane.core.plan_errors import plan_errors
from control_plane.rollouts import store
from dashboards import summaries
from flags.administration.losses import losing_steps
from flags.administration.plan_checks import unreadable_constraints
from flags.evaluation.conditions import encode_context
from flags.evaluation.evaluator import EvaluationContext, Reason, RolloutFlag, evaluate
from flags.evaluation.fast_evaluator import fast_evaluator
from flags.unleash.compiler import compile_flag

NOW = datetime(2026, 8, 1, tzinfo=UTC)


class Colleagues(ConstraintAudience):
    """Everybody of our own company, by their address."""

    name = "colleagues"

    def constraints(self, phase: Opening) -> tuple[Constraint, ...]:  # noqa: ARG002 - it takes none
        return (Constraint("email", Operator.STR_ENDS_WITH, ("@example.org",), case_insensitive=True),)


WRITTEN = {
    "phases": [
        {"name": "us", "title": "Us first", "audience": "colleagues", "steps": [50, 100], "soak": "P1D"},
        {"name": "all", "title": "All", "audience": "everyone", "steps": [100], "soak": "P1D"},
    ],
    "new_signups_after": "2026-07-01T00:00:00Z",
}


@pytest.fixture
def plan() -> Iterator[Plan]:
    register_audience(Colleagues())
    yield store.plan_from_json(WRITTEN)
    del KINDS["colleagues"]


def flag(plan: Plan, position: Position) -> RolloutFlag:
    return RolloutFlag("SEARCH", PRODUCTION, 1, exposure_at(plan, position, PRODUCTION), plan.new_signups_after)


def test_it_is_planned_and_written_as_it_was_read(plan: Plan) -> None:
    assert plan_errors(plan) == []
    assert list(losing_steps("SEARCH", plan)) == list(unreadable_constraints(plan)) == []
    assert store.plan_from_json(json.loads(json.dumps(store.plan_to_json(plan)))) == plan


def test_it_is_open_in_production_alone(plan: Plan) -> None:
    assert exposure_at(plan, Position(0, 0), "staging") == Exposure()
    assert [share.percentage for share in exposure_at(plan, Position(0, 1), PRODUCTION).shares] == [100]


def test_it_reads_as_a_sentence_on_the_page(plan: Plan) -> None:
    assert summaries.audience(plan, plan.phases[0]) == "Customers whose email ends with @example.org"
    assert summaries.reach(plan, Position(0, 0)) == "50\u202f% of customers whose email ends with @example.org"


def test_every_evaluator_lets_the_same_people_in(plan: Plan) -> None:
    engine, inside = UnleashEngine(), 0
    for position in (Position(0, 0), Position(0, 1), Position(1, 0)):
        asked = flag(plan, position)
        compiled, quick = compile_flag(asked, NOW), fast_evaluator(asked, NOW)
        engine.take_state(json.dumps({"version": 2, "features": [compiled.feature], "segments": []}))
        for number in range(200):
            user, email = f"u{number}", ("a@Example.ORG", "a@elsewhere.net")[number % 2]
            value = evaluate(asked, EvaluationContext(user, properties={"email": email}), NOW).value
            theirs = engine.check_enabled("SEARCH", {"userId": user, "properties": {"email": email}}).is_enabled
            assert value is theirs is quick.evaluate(user, None, encode_context(user, {"email": email}))
            inside += value
    assert 320 < inside < 380  # half of a hundred colleagues, all of them, and all two hundred


def test_an_evaluation_says_by_which_phase_and_why(plan: Plan) -> None:
    colleague = EvaluationContext("ada", properties={"email": "ada@example.org"})
    answer = evaluate(flag(plan, Position(0, 1)), colleague, NOW)
    assert (answer.value, answer.reason, answer.phase) == (True, Reason.TARGETING_MATCH, "us")
    assert (
        answer.sentence
        == "This user is one of the customers whose email ends with @example.org, and all of those are in."
    )
    stranger = evaluate(flag(plan, Position(0, 1)), EvaluationContext("bob"), NOW)
    assert (stranger.value, stranger.phase) == (False, None)
    everybody = evaluate(flag(plan, Position(1, 0)), colleague, NOW)
    assert everybody.sentence == "Everyone is in."


def test_a_kind_that_nobody_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValidationError, match="There is no audience 'colleagues'; there are environments, allowlist,"):
        store.plan_from_json(WRITTEN)


def test_audiences_may_follow_in_any_order_in_which_exposure_grows() -> None:
    def phase(name: str, audience: str, *steps: int, **more: object) -> dict[str, object]:
        return {"name": name, "title": name, "audience": audience, "steps": steps, "soak": timedelta(0), **more}

    pro = {"context_name": "plan", "operator": "IN", "values": ("pro",)}
    team = pro | {"values": ("pro", "team")}
    first, wider = (phase(str(n), "attributes", 50, 100, constraints=(each,)) for n, each in enumerate((pro, team)))
    some, all_, new = phase("some", "everyone", 1, 2), phase("all", "everyone", 3, 100), phase("new", "new_signups", 50)

    def errors(*phases: dict[str, object]) -> list[str]:
        made = store.plan_from_json({"phases": phases, "new_signups_after": NOW})
        return plan_errors(made) + list(losing_steps("SEARCH", made))

    assert errors(first, wider, some, new, all_) == []
    assert errors(some, new, first, all_) == []
    assert "'0' adds nobody to the phases before it" in errors(wider, first)[0]
    assert "'new' adds nobody" in errors(some, all_, new)[0]
    assert "Everyone goes down from 100 % to 1 %." in errors(all_, some)[-1]
