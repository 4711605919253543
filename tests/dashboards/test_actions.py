"""What is offered is what would be allowed: no button leads to a refusal that could be foreseen."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from control_plane.core import rollbacks, transitions
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import LOWEST, Position, Rollout, RolloutState
from control_plane.core.transitions import Decision, Transition
from control_plane.experiments.credits import FLAG
from dashboards import actions

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ROLLOUT = Rollout(FLAG, default_plan(NOW), 4, 1, RolloutState.RUNNING, Position(2, 1), NOW, NOW, "Planned.")
STATES = [
    ROLLOUT,
    replace(ROLLOUT, position=LOWEST),
    replace(ROLLOUT, state=RolloutState.HELD),
    replace(ROLLOUT, state=RolloutState.HELD, held_by_guard=True),
    replace(ROLLOUT, state=RolloutState.COMPLETE, position=Position(3, 3)),
    replace(ROLLOUT, state=RolloutState.ROLLED_BACK),
]


def decided(rollout: Rollout, verb: str) -> Decision:
    """Return the decision on a request of a person with a good reason."""
    match verb:
        case "hold":
            return transitions.decide_hold(rollout, now=NOW, reason="Why.")
        case "resume":
            return transitions.decide_resume(rollout, now=NOW, reason="Why.")
        case "step-back":
            return transitions.decide_step_back(rollout, now=NOW, expected_version=rollout.version, reason="Why.")
        case _:
            return rollbacks.decide_rollback(rollout, now=NOW, reason="Why.", in_all=rollout.latched)


@pytest.mark.parametrize("rollout", STATES, ids=lambda rollout: f"{rollout.state}-{rollout.position.phase}")
def test_every_offer_is_allowed(rollout: Rollout) -> None:
    assert all(isinstance(decided(rollout, offer.verb), Transition) for offer in actions.actions(rollout))


@pytest.mark.parametrize("rollout", STATES[:-1], ids=lambda rollout: f"{rollout.state}-{rollout.position.phase}")
def test_rolling_back_is_always_offered_last_and_alone_is_destructive(rollout: Rollout) -> None:
    offered = actions.actions(rollout)
    assert offered[-1].verb == "rollback"
    assert [offer.verb for offer in offered if offer.destructive] == ["rollback"]


def test_what_was_used_is_said_of_the_credits_alone() -> None:
    of_credits, of_another = (
        actions.action(each, "rollback").consequence for each in (ROLLOUT, replace(ROLLOUT, flag="SEARCH"))
    )
    assert "Credits already used stay used." in of_credits
    assert "Credits" not in of_another


def test_what_is_rolled_back_everywhere_offers_nothing() -> None:
    assert actions.actions(replace(STATES[-1], latches_all=True)) == ()


def test_what_is_still_on_in_development_and_staging_can_be_taken_from_there_too() -> None:
    (offered,) = actions.actions(STATES[-1])
    assert (offered.verb, offered.label, offered.in_all) == ("rollback", "Roll back everywhere", True)
    assert "development and staging" in offered.consequence
    decision = rollbacks.decide_rollback(STATES[-1], now=NOW, reason="Why.", in_all=offered.in_all)
    assert isinstance(decision, Transition)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (0, "Until the next advance legacy serves everybody in production."),
        (1, "It serves v2 at once to the beta allowlist."),
        (3, "It serves v2 at once to 10 % of everyone."),
    ],
)
def test_a_new_attempt_says_whom_its_first_step_lets_in(first: int, said: str) -> None:
    rolled_back = replace(STATES[-1], plan=replace(ROLLOUT.plan, phases=ROLLOUT.plan.phases[first:]), position=LOWEST)
    consequence = actions.action(rolled_back, "rearm").consequence.replace("\u202f", " ")
    assert consequence == f"A new attempt begins at the lowest step. {said}"


@pytest.mark.parametrize("verb", ["advance", "hold", "resume", "step-back", "rollback", "rearm"])
def test_every_action_says_what_it_will_do(verb: str) -> None:
    offer = actions.action(ROLLOUT, verb)
    assert offer.verb == verb
    assert offer.question.endswith("?")
    assert offer.consequence.endswith(".")
    assert offer.done.endswith(".")
