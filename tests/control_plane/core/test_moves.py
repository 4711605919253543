"""The next move as a function of what is stored and of now: by hand, at times, by itself; overdue ones fold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.moves import next_move
from control_plane.core.phase_gates import AdvanceMode, Schedule
from control_plane.core.phases import Phase, Plan, Rollout, RolloutState, new_rollout

NOW = datetime(2026, 12, 1, tzinfo=UTC)
OPEN = [GateResult("soak", GateStatus.OPEN, "Over.")]
HOUR = timedelta(hours=1)


def rollout_with(advance: AdvanceMode | Schedule, *, entered_at: datetime = NOW, **changes: Any) -> Rollout:
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (1, 10, 50, 100), timedelta(0), advance=advance)
    made = new_rollout("FLAG", Plan((phase,), NOW), now=entered_at, reason="x")
    return replace(made, **changes)


def schedule(*hours: int, zone: str = "UTC") -> Schedule:
    return Schedule(tuple((NOW + HOUR * each).replace(tzinfo=None) for each in hours), zone)


def test_by_hand_is_never_due() -> None:
    assert not next_move(rollout_with(AdvanceMode.BY_HAND), OPEN, now=NOW + HOUR * 1000).is_due


def test_by_itself_is_due_as_soon_as_every_gate_is_open() -> None:
    rollout = rollout_with(AdvanceMode.WHEN_GATES_OPEN)
    opens = NOW + HOUR
    shut = [*OPEN, GateResult("calendar", GateStatus.CLOSED, "A Saturday.", opens_at=opens)]
    waiting = next_move(rollout, shut, now=NOW)
    assert (waiting.is_due, waiting.at) == (False, opens)
    assert "calendar (closed)" in waiting.sentence
    unknown = next_move(rollout, [*OPEN, GateResult("served", GateStatus.UNKNOWN, "3 of 100.")], now=NOW)
    assert (unknown.is_due, unknown.at) == (False, None)
    assert next_move(rollout, OPEN, now=NOW).is_due


@pytest.mark.parametrize("state", [RolloutState.HELD, RolloutState.ROLLED_BACK, RolloutState.COMPLETE])
@pytest.mark.parametrize("advance", [AdvanceMode.WHEN_GATES_OPEN, schedule(1)])
def test_nothing_moves_that_does_not_run(state: RolloutState, advance: AdvanceMode | Schedule) -> None:
    assert not next_move(rollout_with(advance, state=state), OPEN, now=NOW + HOUR * 2).is_due


def test_nothing_moves_while_the_clocks_disagree_and_it_says_so() -> None:
    rollout = rollout_with(AdvanceMode.WHEN_GATES_OPEN)
    for apart in (31, -31):
        found = next_move(rollout, OPEN, now=NOW, clocks_apart=timedelta(seconds=apart))
        assert not found.is_due
        assert "31 seconds apart" in found.sentence
    assert next_move(rollout, OPEN, now=NOW, clocks_apart=timedelta(seconds=30)).is_due


def test_a_time_that_was_over_when_the_step_began_moves_nothing() -> None:
    found = next_move(rollout_with(schedule(1, 2), entered_at=NOW + HOUR * 3), OPEN, now=NOW + HOUR * 9)
    assert not found.is_due
    assert "was over when the step began" in found.sentence


def test_local_time_decides_on_both_sides_of_a_change_of_the_clocks() -> None:
    """Nine in Madrid is eight in UTC before the last Sunday of March, and seven after it."""
    times = tuple(datetime.fromisoformat(f"2026-03-{day}T09:00") for day in (27, 30))
    rollout = rollout_with(Schedule(times, "Europe/Madrid"), entered_at=datetime(2026, 3, 27, 8, tzinfo=UTC))
    before, after = datetime(2026, 3, 30, 6, 59, 59, tzinfo=UTC), datetime(2026, 3, 30, 7, tzinfo=UTC)
    assert next_move(rollout, OPEN, now=before).at == after
    assert next_move(rollout, OPEN, now=after).is_due


@given(
    hours=st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True).map(sorted),
    looks=st.lists(st.integers(0, 80), min_size=1, max_size=20).map(sorted),
)
def test_however_often_one_looks_no_more_moves_are_made_than_times_have_come(
    hours: list[int], looks: list[int]
) -> None:
    rollout, moved_at = rollout_with(schedule(*hours)), list[int]()
    for look in looks:
        now = NOW + HOUR * look
        if next_move(rollout, OPEN, now=now).is_due:
            rollout = replace(rollout, entered_at=now)
            moved_at.append(look)
    # One at the first look at or after a time; what came before a move makes no second one.
    expected, last = [], 0
    for look in looks:
        if any(last < hour <= look for hour in hours):
            expected.append(look)
            last = look
    assert moved_at == expected
