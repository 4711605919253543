"""How an item stands: what a check found comes before what a person said, and an old answer is none."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.checklists.guide import guide_plan
from control_plane.core.checklist import (
    Checklist,
    ChecklistItem,
    ChecklistState,
    CheckResult,
    ItemStatus,
    Signature,
    StoredResult,
    checklist_errors,
    failed,
    item_state,
    passed,
    unknown,
)
from control_plane.core.plan_errors import plan_errors

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNED = Signature("alice", NOW, "Done in the meeting.")
CHECKED, BY_HAND = ChecklistItem("a", "A is done", "schema"), ChecklistItem("b", "B is done")


def stored(result: CheckResult, age: timedelta = timedelta()) -> StoredResult:
    return StoredResult(result, NOW - age, NOW - age + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("item", "signature", "result", "status"),
    [
        (BY_HAND, None, None, ItemStatus.OPEN),
        (BY_HAND, SIGNED, None, ItemStatus.TICKED),
        (CHECKED, None, None, ItemStatus.UNKNOWN),
        (CHECKED, None, stored(passed("Yes.")), ItemStatus.TICKED),
        (CHECKED, None, stored(failed("No.")), ItemStatus.FAILING),
        (CHECKED, SIGNED, stored(failed("No.")), ItemStatus.FAILING),
        (CHECKED, None, stored(unknown("Hm.")), ItemStatus.UNKNOWN),
        (CHECKED, SIGNED, stored(unknown("Hm.")), ItemStatus.TICKED),
        (CHECKED, None, stored(passed("Yes."), timedelta(minutes=6)), ItemStatus.UNKNOWN),
        (CHECKED, None, stored(passed("Yes."), timedelta(minutes=-2)), ItemStatus.UNKNOWN),
    ],
)
def test_an_item_stands_as_its_check_says_and_else_as_a_person_signed(
    item: ChecklistItem, signature: Signature | None, result: StoredResult | None, status: ItemStatus
) -> None:
    assert item_state(item, signature, result, NOW).status is status


def test_a_checklist_is_late_once_its_time_is_over_and_something_is_left() -> None:
    waiting, done = item_state(BY_HAND, None, None, NOW), item_state(BY_HAND, SIGNED, None, NOW)
    checklist = Checklist("week-1", "Week 1", (BY_HAND,), after_complete=timedelta(days=7))
    assert ChecklistState(checklist, "", (waiting,), NOW - timedelta(days=1)).is_late(NOW)
    assert not ChecklistState(checklist, "", (waiting,), NOW + timedelta(days=1)).is_late(NOW)
    assert not ChecklistState(checklist, "", (done,), NOW - timedelta(days=1)).is_late(NOW)
    assert not ChecklistState(checklist, "", (waiting,)).is_late(NOW)


@pytest.mark.parametrize(
    ("checklist", "sentence"),
    [
        (Checklist("x", "X", (BY_HAND,), phases=("no-such",)), "the plan has no phase 'no-such'"),
        (Checklist("x", "X", (BY_HAND,)), "say either `phases`"),
        (Checklist("x", "X", (BY_HAND,), ("beta",), timedelta(days=1)), "say either `phases`"),
        (Checklist("x", "X", (), phases=("beta",)), "at least one item"),
        (Checklist("x", "X", (BY_HAND, BY_HAND), phases=("beta",)), "item 'b' is there twice"),
        (Checklist("x", "X", (BY_HAND,), after_complete=timedelta(days=-1)), "can't be negative"),
    ],
)
def test_a_checklist_that_fits_no_plan_is_refused_in_a_sentence(checklist: Checklist, sentence: str) -> None:
    assert sentence in " ".join(checklist_errors([checklist], ["beta"]))


def test_the_plan_of_the_guide_has_no_mistake_and_every_checklist_of_it() -> None:
    plan = guide_plan(NOW)
    assert plan_errors(plan) == []
    assert [each.name for each in plan.checklists if each.after_complete] == ["week-1", "month-1", "month-3"]
    assert len(plan.checklists[0].items) >= 16
