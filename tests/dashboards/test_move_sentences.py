"""A plan that moves by itself says when, in every state of its schedule and its gates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.moves import next_move
from control_plane.core.phase_gates import AdvanceMode, Schedule
from control_plane.core.phases import Rollout, new_rollout
from control_plane.experiments.credits import FLAG
from dashboards.language import use_language
from dashboards.move_sentences import move_sentence
from dashboards.time_zone import use_time_zone

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OPEN = GateResult("soak", GateStatus.OPEN, "It is over.")
CLOSED = GateResult("soak", GateStatus.CLOSED, "It lasts.", opens_at=NOW + timedelta(days=1))
UNKNOWN = GateResult("safety", GateStatus.UNKNOWN, "Too few answers.")
MONDAY = Schedule((datetime(2026, 3, 9, 9, 0),), "Europe/Madrid")  # noqa: DTZ001 - a schedule has local times
APPROVAL = "Those that can't tell are passed once somebody approves the step."
OVER = Schedule((datetime(2026, 3, 1, 9, 0),))  # noqa: DTZ001


def moving_by(advance: AdvanceMode | Schedule) -> Rollout:
    """Return a rollout whose steps are left like that; it was planned a minute ago."""
    planned = new_rollout(FLAG, default_plan(NOW), now=NOW - timedelta(minutes=1), reason="")
    first, *others = planned.plan.phases
    return replace(planned, plan=replace(planned.plan, phases=(replace(first, advance=advance), *others)))


def said(rollout: Rollout, *gates: GateResult) -> str:
    return move_sentence(rollout, next_move(rollout, gates, now=NOW), gates)


def test_a_time_of_its_schedule_is_told_by_the_readers_clock() -> None:
    waits = "The plan takes it at 9 Mar 2026, {}, or as soon after that as every gate is open."
    assert said(moving_by(MONDAY), OPEN) == waits.format("08:00 UTC")
    with use_time_zone("Europe/Madrid"):
        assert said(moving_by(MONDAY), CLOSED) == waits.format("09:00 UTC+1")


def test_a_schedule_that_is_over_leaves_the_step_to_a_person() -> None:
    assert said(moving_by(OVER), OPEN).endswith("take it by hand.")


@pytest.mark.parametrize(
    ("gates", "sentence"),
    [
        ((OPEN,), "Every gate is open, so the plan takes it within seconds."),
        ((OPEN, CLOSED), "The plan takes it as soon as every gate is open."),
        (
            (UNKNOWN,),
            f"The plan takes it as soon as every gate is open. {APPROVAL}",
        ),
    ],
)
def test_a_plan_that_moves_when_gates_open_says_what_it_waits_for(gates: tuple[GateResult, ...], sentence: str) -> None:
    assert said(moving_by(AdvanceMode.WHEN_GATES_OPEN), *gates) == sentence


def test_in_spanish_it_is_told_in_spanish() -> None:
    with use_language("es"):
        assert said(moving_by(AdvanceMode.WHEN_GATES_OPEN), OPEN).startswith("Todas las puertas están abiertas")
