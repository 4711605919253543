"""Users by name in what SDKs are given: a hundred, those kept out first, and what one more of them costs."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.audiences.exposure import Exposure
from flags.client_features import feature_set as feature_sets
from flags.client_features.delta_log import diff
from flags.client_features.feature_set import FeatureSource
from flags.client_features.prepared_payloads import prepare
from flags.evaluation.rollout_flag import Override, RolloutFlag
from flags.unleash.compiler import NAMED_MAX, compile_flag

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NAMED = Override("By name.")
BYTES_MAX = 4096


def flag(*, denied: int = 0, allowed: int = 0) -> RolloutFlag:
    return RolloutFlag(
        key="F",
        environment="production",
        revision=1,
        exposure=Exposure(everyone_percentage=50),
        new_signups_after=NOW,
        denied={f"denied-{number:06}": NAMED for number in range(denied)},
        allowed={f"allowed-{number:06}": NAMED for number in range(allowed)},
    )


def lists(made: RolloutFlag) -> dict[str, list[str]]:
    return {each["name"]: each["constraints"][0]["values"] for each in compile_flag(made, NOW).segments}


def test_up_to_the_bound_everybody_travels() -> None:
    found = lists(flag(denied=60, allowed=40))
    assert (len(found["F denied"]), len(found["F allowed"])) == (60, 40)
    assert compile_flag(flag(denied=60, allowed=40), NOW).unsent == 0


@pytest.mark.parametrize(("denied", "allowed", "sent"), [(60, 41, (60, 40)), (100, 9, (100, 0)), (250, 0, (100, 0))])
def test_beyond_it_those_kept_out_travel_first_and_the_earliest_of_each(
    denied: int, allowed: int, sent: tuple[int, int]
) -> None:
    made = flag(denied=denied, allowed=allowed)
    found = lists(made)
    assert (len(found.get("F denied", [])), len(found.get("F allowed", []))) == sent
    assert found.get("F denied", []) == [f"denied-{number:06}" for number in range(sent[0])]
    assert found.get("F allowed", []) == [f"allowed-{number:06}" for number in range(sent[1])]
    assert compile_flag(made, NOW).unsent == denied + allowed - NAMED_MAX


def test_who_ends_or_can_not_be_sent_takes_no_place() -> None:
    ended = Override("Ended.", NOW - timedelta(seconds=1))
    made = flag(allowed=NAMED_MAX)
    full = {"a\\": NAMED, **{f"ended-{number}": ended for number in range(9)}, **made.allowed}
    compiled = compile_flag(RolloutFlag(**{**_fields(made), "allowed": full}), NOW)
    assert (compiled.unsent, compiled.left_out) == (0, ("a\\",))
    assert len(compiled.segments[0]["constraints"][0]["values"]) == NAMED_MAX


@pytest.mark.parametrize("effect", ["denied", "allowed"])
def test_a_hundred_thousand_cost_sdks_four_kilobytes_and_one_more_nothing(effect: str) -> None:
    first, second = (
        FeatureSource("production", revision, {"F": flag(**{effect: 100_000 + revision})}) for revision in (0, 1)
    )
    before = feature_sets.build(first, NOW, guard_ended_at=None)
    after = feature_sets.build(second, NOW, guard_ended_at=None, before=before)
    assert len(prepare(before).features.body) <= BYTES_MAX
    assert (before.unsent, after.unsent) == (100_000 - NAMED_MAX, 100_001 - NAMED_MAX)
    assert list(diff(after.id, before.contents, after.contents)) == []
    assert after.tag == before.tag, "no stream is woken"


def _fields(made: RolloutFlag) -> dict[str, object]:
    return {
        name: getattr(made, name)
        for name in ("key", "environment", "revision", "exposure", "new_signups_after", "denied", "allowed")
    }
