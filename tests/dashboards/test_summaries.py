"""A rollout tells how it stands, in words that hold in every state."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import LOWEST, Plan, Position, Rollout, RolloutState, positions
from control_plane.experiments.credits import FLAG
from dashboards import summaries
from dashboards.filters import NARROW
from dashboards.language import use_language

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PLAN = default_plan(datetime(2026, 1, 1, tzinfo=UTC))
HERE = Position(2, 1)
SOAK = GateResult("soak", GateStatus.CLOSED, "It soaks until tomorrow")
SAFETY = GateResult("safety", GateStatus.UNKNOWN, "Too few answers.")
SERVED = GateResult("served", GateStatus.OPEN, "Served enough.")


DAY = timedelta(days=1)


def with_starts(plan: Plan, starts: Mapping[str, date]) -> Plan:
    """Return the plan with days on which phases should begin, by name."""
    return replace(plan, phases=tuple(replace(each, planned_start=starts.get(each.name)) for each in plan.phases))


def rollout(position: Position = HERE, state: RolloutState = RolloutState.RUNNING, **fields: Any) -> Rollout:
    """Return a rollout that came to `position` 23 hours ago."""
    since = NOW - timedelta(hours=23)
    found = Rollout(FLAG, PLAN, 4, 1, state, position, since, since, "Errors rose", held_by_guard=False)
    return replace(found, **fields)


def status(found: Rollout, *gates: GateResult) -> str:
    """Return the sentence about the rollout's state, with ordinary blanks."""
    return summaries.status_sentence(found, gates, NOW).replace(NARROW, " ")


def test_a_running_rollout_names_the_gates_that_are_closed() -> None:
    assert status(rollout(), SOAK, SAFETY, SERVED) == (
        "25 % of new signups for 23 h. 1 of 3 gates is closed: It soaks until tomorrow."
    )


def test_gates_that_prove_nothing_ask_for_an_owner() -> None:
    sentence = "1 gate can't tell yet whether the next step is safe; an owner may approve it with a reason."
    assert status(rollout(), SAFETY, SERVED).endswith(sentence)


def test_open_gates_let_it_advance() -> None:
    assert status(rollout(), SERVED).endswith("Every gate is open: the rollout may advance.")


def test_a_held_rollout_tells_why_and_who_ends_it() -> None:
    passing = rollout(state=RolloutState.HELD, held_by_guard=True)
    assert status(passing) == "Held by the guard at 25 % of new signups for 23 h: Errors rose."
    other = rollout(state=RolloutState.HELD, held_by_guard=False)
    assert status(other) == "Held at 25 % of new signups for 23 h, until somebody resumes it: Errors rose."


def test_a_rolled_back_rollout_says_that_legacy_serves() -> None:
    rolled_back = rollout(state=RolloutState.ROLLED_BACK)
    narrow = "This attempt ended 23 h ago; legacy serves everybody in production. Errors rose."
    assert status(rolled_back) == f"{narrow} Development and staging keep the flag."
    wide = "This attempt ended 23 h ago; legacy serves everybody. Errors rose."
    assert status(replace(rolled_back, latches_all=True)) == wide


def test_a_rollback_says_nothing_of_an_environment_with_a_rollout_of_its_own() -> None:
    rolled_back = rollout(state=RolloutState.ROLLED_BACK)
    elsewhere = summaries.environments_elsewhere(FLAG, [FLAG, f"{FLAG}@staging", "OTHER@development"])
    assert elsewhere == ["staging"]
    said = summaries.status_sentence(rolled_back, None, NOW, elsewhere=elsewhere)
    assert said.endswith("Errors rose. Development keeps the flag.")
    assert summaries.reach_now(rolled_back, elsewhere) == "development"
    assert summaries.reach_now(rolled_back, ["development", "staging"]) == "nobody"


def test_a_complete_rollout_says_that_v2_serves() -> None:
    assert status(rollout(Position(3, 3), RolloutState.COMPLETE)) == "Complete for 23 h: v2 serves everybody."


def test_a_complete_rollout_counts_from_its_completion_not_from_the_end_of_a_hold() -> None:
    complete = rollout(Position(3, 3), RolloutState.COMPLETE, completed_at=NOW - timedelta(days=9))
    assert status(complete) == "Complete for 9 d: v2 serves everybody."


def test_the_button_names_where_the_next_step_leads() -> None:
    labels = [summaries.advance_label(rollout(position)).replace(NARROW, " ") for position in positions(PLAN)]
    assert labels[:3] == [
        "Advance to the beta allowlist",
        "Advance to 10 % of new signups",
        "Advance to 25 % of new signups",
    ]
    assert labels[-2:] == ["Advance to 100 % of everyone", "Complete the rollout"]


def test_the_buttons_take_an_article_before_a_share_in_spanish() -> None:
    with use_language("es"):
        advance, back = summaries.advance_label(rollout()), summaries.step_back_label(rollout())
        assert advance.replace(NARROW, " ") == "Avanzar al 50 % de los nuevos registros"
        assert str(back).replace(NARROW, " ") == "Retroceder al 10 % de los nuevos registros"
        assert summaries.advance_label(rollout(LOWEST)) == "Avanzar a la lista beta"
        assert summaries.step_back_label(rollout(Position(1, 0))) == "Retroceder a development y staging"


def test_stepping_back_is_not_offered_at_the_lowest_step() -> None:
    assert summaries.step_back_label(rollout(LOWEST)) is None
    assert summaries.step_back_label(rollout(Position(1, 0))) == "Step back to development and staging"


def test_the_timeline_has_one_current_phase_and_the_rest_in_order() -> None:
    views = summaries.timeline(rollout(), {"beta": NOW, "everyone": NOW}, NOW)
    assert [view.state for view in views] == ["done", "done", "current", "upcoming"]
    assert [step.state for step in views[2].steps] == ["done", "current", "upcoming", "upcoming"]
    assert [view.entered_at for view in views] == [None, NOW, None, None]


def test_each_phase_says_how_long_it_lasted_and_what_was_planned() -> None:
    entered = {"development": NOW - DAY * 9, "beta": NOW - DAY * 4, "new-signups": NOW - DAY}
    plan = with_starts(PLAN, {"beta": date(2026, 2, 24), "everyone": date(2026, 2, 27)})
    running = rollout(plan=plan)
    views = summaries.timeline(running, entered, NOW)
    assert [view.lasted for view in views] == [DAY * 5, DAY * 3, DAY, None]
    assert [view.planned_start for view in views] == [None, date(2026, 2, 24), None, date(2026, 2, 27)]
    assert [view.days_late for view in views] == [0, 2, 0, 3]
    stopped = replace(running, state=RolloutState.ROLLED_BACK, state_changed_at=NOW - timedelta(hours=3))
    assert summaries.timeline(stopped, entered, NOW)[2].lasted == timedelta(hours=21)


def test_a_phase_that_was_stepped_back_to_goes_on_lasting() -> None:
    entered = {"beta": NOW - DAY * 4, "new-signups": NOW - DAY}
    views = summaries.timeline(rollout(Position(1, 0)), entered, NOW)
    assert [view.lasted for view in views] == [None, DAY * 4, None, None]


def test_a_rollback_shows_where_it_stopped() -> None:
    views = summaries.timeline(rollout(state=RolloutState.ROLLED_BACK), {}, NOW)
    assert [view.state for view in views] == ["done", "done", "stopped", "upcoming"]


def test_a_complete_rollout_is_done_to_its_last_step() -> None:
    views = summaries.timeline(rollout(Position(3, 3), RolloutState.COMPLETE, completed_at=NOW), {}, NOW)
    assert {step.state for view in views for step in view.steps} == {"done"}


def test_every_phase_says_whom_it_adds() -> None:
    assert [summaries.audience(PLAN, phase) for phase in PLAN.phases] == [
        "Everybody in development and staging",
        "Those on the beta allowlist",
        "Those who signed up after 1 Jan 2026",
        "All production users",
    ]
