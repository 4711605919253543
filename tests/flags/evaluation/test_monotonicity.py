from dataclasses import replace
from typing import Any

import pytest

from control_plane.audiences.exposure import Exposure
from flags.evaluation.evaluator import EvaluationContext
from flags.evaluation.monotonicity import is_superset_of, violations
from tests.flags.examples import (
    ALICE,
    ANONYMOUS,
    EVERYTHING,
    EXPIRED,
    NAMED,
    NOW,
    SECOND,
    flag,
    user_in_bucket,
    users_losing_flag,
)

HALF = Exposure(allowlist=True, new_signups_percentage=100, everyone_percentage=50)
PEOPLE = [EvaluationContext(user_in_bucket(number)) for number in (1, 30, 50, 51)]


def test_an_advance_covers_what_came_before_and_a_step_back_does_not() -> None:
    assert is_superset_of(EVERYTHING, HALF)
    assert is_superset_of(HALF, HALF)
    assert not is_superset_of(HALF, EVERYTHING)


@pytest.mark.parametrize(
    "without",
    [{"environment": False}, {"allowlist": False}, {"new_signups_percentage": 99}, {"everyone_percentage": 99}],
)
def test_every_part_of_an_exposure_must_be_covered(without: dict[str, Any]) -> None:
    assert not is_superset_of(replace(EVERYTHING, **without), EVERYTHING)


def test_losers_are_those_who_had_the_flag_and_will_not() -> None:
    back = flag(exposure=replace(HALF, everyone_percentage=25))
    assert [context.user_id for context in users_losing_flag(flag(exposure=HALF), back, PEOPLE, now=NOW)] == [
        PEOPLE[1].user_id,
        PEOPLE[2].user_id,
    ]
    assert not list(users_losing_flag(back, flag(exposure=HALF), [*PEOPLE, ALICE, ANONYMOUS], now=NOW))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"environment_switch": False}, "The environment variable switches the flag off."),
        ({"latched": "Variance above 5 %."}, "The rollout is rolled back: Variance above 5 %."),
        ({"guard_expires_at": NOW}, "The guard's lease has ended, so nobody is exposed."),
        ({"key": "OTHER"}, "Renaming ENABLE_CREDITS_V2 to OTHER gives every user another bucket."),
        ({"exposure": replace(HALF, allowlist=False)}, "The beta allowlist is closed."),
        ({"exposure": replace(HALF, new_signups_percentage=25)}, "New signups go down from 100 % to 25 %."),
        ({"exposure": replace(HALF, everyone_percentage=25)}, "Everyone goes down from 50 % to 25 %."),
        (
            {"new_signups_after": NOW},
            "The cut-over of new signups moves from 2026-07-01T00:00:00.000Z to 2026-08-01T12:00:00.000Z.",
        ),
        ({"denied": {"bob": NAMED}}, "Newly denied: bob."),
        ({"allowed": {"alice": EXPIRED}}, "No longer allowed by name: alice."),
        ({"beta": frozenset("abc")}, "Gone from the beta allowlist: d, e, f, g, h and 1 more."),
    ],
)
def test_whatever_may_take_the_flag_from_somebody_is_told(change: dict[str, Any], sentence: str) -> None:
    before = flag(exposure=HALF, allowed={"alice": NAMED}, beta=frozenset("abcdefghi"))
    assert violations(before, replace(before, **change), now=NOW) == [sentence]


def test_an_environment_that_closes_and_a_variable_that_goes_are_told() -> None:
    staging = flag(environment="staging", exposure=EVERYTHING)
    closed = replace(staging, exposure=replace(EVERYTHING, environment=False))
    assert violations(staging, closed, now=NOW) == ["The environment staging is no longer on as a whole."]
    forced = replace(closed, environment_switch=True)
    assert violations(forced, closed, now=NOW) == [
        "The environment variable no longer switches the flag on for everybody."
    ]
    assert violations(staging, forced, now=NOW) == []


@pytest.mark.parametrize(
    "stop", [{"latched": "defects"}, {"guard_expires_at": NOW - SECOND}, {"environment_switch": False}]
)
def test_nobody_loses_what_a_stopped_flag_gave_nobody(stop: dict[str, Any]) -> None:
    assert violations(flag(exposure=HALF, **stop), flag(), now=NOW) == []


def test_everyone_who_joins_is_no_reason_to_worry() -> None:
    before = flag(exposure=HALF, denied={"bob": NAMED}, new_signups_after=NOW)
    after = flag(exposure=EVERYTHING, allowed={"carol": NAMED}, beta={"dave"})
    assert violations(before, after, now=NOW) == []
