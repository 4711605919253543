"""Users by name in what SDKs are given: all who are kept out, a hundred who are let in, and what one more costs."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from yggdrasil_engine.engine import UnleashEngine

from control_plane.audiences.exposure import Exposure
from flags.client_features import feature_set as feature_sets
from flags.client_features.delta_log import diff
from flags.client_features.feature_set import FeatureSet, FeatureSource
from flags.client_features.prepared_payloads import prepare
from flags.evaluation.rollout_flag import Override, RolloutFlag
from flags.unleash.compiler import PART_IDS_FROM, compile_flag, merge_parts
from flags.unleash.named_users import ALLOWED_MAX, PART_BYTES, parts

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NAMED = Override("By name.")
BYTES_MAX = 4096
MANY = 10_000


def flag(*, denied: int = 0, allowed: int = 0, key: str = "F", percentage: int = 50) -> RolloutFlag:
    return RolloutFlag(
        key=key,
        environment="production",
        revision=1,
        exposure=Exposure(everyone_percentage=percentage),
        new_signups_after=NOW,
        denied={f"denied-{number:06}": NAMED for number in range(denied)},
        allowed={f"allowed-{number:06}": NAMED for number in range(allowed)},
    )


def denied_users(made: RolloutFlag) -> list[str]:
    """Return everybody whom SDKs are told to keep out, from all parts."""
    segments = [each["constraints"][0] for each in compile_flag(made, NOW).segments]
    return sorted(user for each in segments if each["operator"] == "NOT_IN" for user in each["values"])


def let_in(made: RolloutFlag) -> list[str]:
    return [
        user
        for each in compile_flag(made, NOW).segments
        if each["name"] == f"{made.key} allowed"
        for user in each["constraints"][0]["values"]
    ]


def built(made: RolloutFlag, revision: int = 0, before: FeatureSet | None = None) -> FeatureSet:
    source = FeatureSource("production", revision, {made.key: made})
    return feature_sets.build(source, NOW, guard_ended_at=None, before=before)


@pytest.mark.parametrize("denied", [0, 1, 60, 100, 101, 250, 3_000, MANY])
def test_everybody_who_is_kept_out_travels(denied: int) -> None:
    made = flag(denied=denied, allowed=40)
    assert denied_users(made) == sorted(made.denied)
    assert let_in(made) == sorted(made.allowed), "who is kept out takes nobody's place"
    assert compile_flag(made, NOW).unsent == 0


@pytest.mark.parametrize(("denied", "allowed"), [(0, 101), (60, 141), (250, 1_000)])
def test_of_those_let_in_the_earliest_travel(denied: int, allowed: int) -> None:
    made = flag(denied=denied, allowed=allowed)
    assert let_in(made) == [f"allowed-{number:06}" for number in range(ALLOWED_MAX)]
    assert compile_flag(made, NOW).unsent == allowed - ALLOWED_MAX


def test_the_engine_exposes_nobody_of_ten_thousand_and_everybody_else() -> None:
    made = flag(denied=MANY, percentage=100)
    feature_set, engine = built(made), UnleashEngine()
    wires = [
        [item.wire for item in each.values()] for each in (feature_set.contents.features, feature_set.contents.segments)
    ]
    engine.take_state(json.dumps({"version": 2, "features": wires[0], "segments": wires[1]}))
    assert [user for user in made.denied if engine.check_enabled("F", {"userId": user}).is_enabled] == []
    others = [f"other-{number}" for number in range(1_000)]
    assert all(engine.check_enabled("F", {"userId": user}).is_enabled for user in others)


def test_a_feature_never_stands_without_a_part_between_the_events_of_a_change() -> None:
    """An SDK may be asked after each event; whoever was kept out before and after stays out in between."""
    chance = random.Random(7)
    for size in (100, 400, 2_000):
        before, after = flag(denied=size, percentage=100), flag(denied=size + chance.randint(20, 300), percentage=100)
        for first, second in ((before, after), (after, before)):
            old = built(first)
            new = built(second, 1, old)
            engine = UnleashEngine()
            engine.take_state(json.dumps({"events": [_hydration(old)]}))
            for event in diff(new.id, old.contents, new.contents):
                engine.take_state(json.dumps({"events": [json.loads(event)]}))
                asked = chance.sample(sorted(before.denied), 40)
                assert not any(engine.check_enabled("F", {"userId": user}).is_enabled for user in asked)


def test_who_ends_or_can_not_be_sent_takes_no_place() -> None:
    ended = Override("Ended.", NOW - timedelta(seconds=1))
    made = flag(allowed=ALLOWED_MAX)
    full = {"a\\": NAMED, **{f"ended-{number}": ended for number in range(9)}, **made.allowed}
    compiled = compile_flag(replace(made, allowed=full), NOW)
    assert (compiled.unsent, compiled.left_out) == (0, ("a\\",))
    assert len(compiled.segments[0]["constraints"][0]["values"]) == ALLOWED_MAX


@pytest.mark.parametrize("denied", [0, 80])
def test_a_hundred_thousand_cost_sdks_four_kilobytes_and_one_more_let_in_nothing(denied: int) -> None:
    allowed = 100_000 - denied
    before = built(flag(denied=denied, allowed=allowed))
    after = built(flag(denied=denied, allowed=allowed + 1), 1, before)
    assert len(prepare(before).features.body) <= BYTES_MAX
    assert (before.unsent, after.unsent) == (allowed - ALLOWED_MAX, allowed + 1 - ALLOWED_MAX)
    assert list(diff(after.id, before.contents, after.contents)) == []
    assert after.tag == before.tag, "no stream is woken"


@pytest.mark.parametrize("size", [50, 140, 1_000, 2_500])
def test_one_more_kept_out_costs_a_stream_four_kilobytes(size: int) -> None:
    steps = [built(flag(denied=size))]
    for more in range(1, 60):
        steps.append(built(flag(denied=size + more), more, steps[-1]))
    costs = [sum(map(len, diff(new.id, old.contents, new.contents))) for old, new in pairwise(steps)]
    assert max(costs) <= BYTES_MAX


def test_parts_depend_on_who_is_in_them_and_not_on_how_they_came() -> None:
    users = [f"user-{number}" for number in range(900)]
    cut = parts(tuple(sorted(users)))
    assert cut == parts(tuple(sorted(random.Random(3).sample(users, len(users)))))
    assert sorted(user for part in cut for user in part.user_ids) == sorted(users)
    assert all(sum(len(user) + 3 for user in part.user_ids) <= PART_BYTES for part in cut)
    assert len({part.bits for part in cut}) == len(cut)


def test_parts_of_one_number_are_united_so_that_nobody_is_exposed() -> None:
    segment = {"id": PART_IDS_FROM + 5, "name": "F denied 0", "constraints": [{"operator": "NOT_IN", "values": ["a"]}]}
    other = {"id": PART_IDS_FROM + 5, "name": "G denied 11", "constraints": [{"operator": "NOT_IN", "values": ["b"]}]}
    (united,) = merge_parts([segment, other])
    assert united["constraints"][0]["values"] == ["a", "b"]
    assert merge_parts([segment]) == [segment]


def _hydration(feature_set: FeatureSet) -> dict[str, object]:
    contents = feature_set.contents
    return {
        "type": "hydration",
        "eventId": 1,
        "features": [item.wire for item in contents.features.values()],
        "segments": [item.wire for item in contents.segments.values()],
    }
