"""Feature sets: the same id for the same contents, and another one whenever SDKs are given something else."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from yggdrasil_engine.engine import UnleashEngine

from control_plane.audiences.exposure import PRODUCTION, Exposure
from flags.client_features.delta_log import Delta, DeltaLog, tag
from flags.client_features.feature_set import FeatureSet, FeatureSource, build, is_current, is_servable
from flags.client_features.prepared_payloads import prepare
from flags.evaluation.evaluator import EvaluationContext, evaluate
from flags.evaluation.rollout_flag import Override
from flags.unleash.delta import FeatureState
from flags.unleash.feature_payload import FeaturePayload
from tests.flags.examples import EVERYTHING, FLAG, NOW, SECOND, flag

LATER = NOW + timedelta(hours=1)


def source(revision: int = 7, **changes: Any) -> FeatureSource:
    guarded = {"guard_expires_at": NOW} | changes
    return FeatureSource(PRODUCTION, revision, {FLAG: flag(**guarded)})


def feature_set(revision: int = 7, *, before: FeatureSet | None = None, **changes: Any) -> FeatureSet:
    return build(source(revision, **changes), NOW, guard_ended_at=None, before=before)


def test_the_same_source_makes_the_same_feature_set_everywhere() -> None:
    assert feature_set(exposure=EVERYTHING) == feature_set(exposure=EVERYTHING)


def test_a_change_that_no_sdk_would_notice_keeps_the_id() -> None:
    first = feature_set(7, exposure=EVERYTHING)
    then = feature_set(9, before=first, exposure=EVERYTHING, phase_names={})
    assert (then.id, then.contents) == (first.id, first.contents)
    assert then.rollout_flags[FLAG].phase_names == {}


def test_the_end_of_the_lease_takes_everybody_out_under_another_id() -> None:
    watched = feature_set(exposure=EVERYTHING)
    left_alone = build(source(exposure=EVERYTHING), NOW, guard_ended_at=NOW, before=watched)
    assert watched.contents.features[FLAG].wire["enabled"] is True
    assert left_alone.contents.features[FLAG].wire["enabled"] is False
    assert left_alone.id != watched.id
    answer = evaluate(left_alone.rollout_flags[FLAG], EvaluationContext("anybody"), NOW)
    assert not answer.value
    assert "2026-08-01 12:00:00 UTC" in answer.sentence
    assert not is_current(watched, NOW, guard_ended_at=NOW)
    assert not is_servable(watched, NOW, guard_ended_at=NOW)
    assert build(source(exposure=EVERYTHING), NOW, guard_ended_at=None, before=left_alone).id == watched.id


def test_that_the_guard_is_back_makes_another_feature_set_which_nobody_has_to_wait_for() -> None:
    left_alone = build(source(exposure=EVERYTHING), NOW, guard_ended_at=NOW)
    assert not is_current(left_alone, NOW, guard_ended_at=None)
    assert is_servable(left_alone, NOW, guard_ended_at=None)


def test_the_end_of_an_override_makes_another_feature_set() -> None:
    allowed = {"ann": Override("a trial", LATER)}
    first = feature_set(allowed=allowed)
    assert first.next_change_at == LATER
    assert is_current(first, LATER - SECOND, guard_ended_at=None)
    assert not is_current(first, LATER, guard_ended_at=None)
    assert not is_servable(first, LATER, guard_ended_at=None)
    then = build(source(allowed=allowed), LATER, guard_ended_at=None, before=first)
    assert then.id > first.id
    assert then.contents.digest != first.contents.digest
    assert then.next_change_at is None


def test_a_definition_never_stands_in_for_a_flag_under_a_rollout() -> None:
    impostor = {"name": FLAG, "enabled": True, "strategies": [{"name": "default"}]}
    made = build(replace(source(), definitions=(impostor,)), NOW, guard_ended_at=None)
    assert made.contents.features[FLAG].wire["enabled"] is False


def test_users_that_sdks_cant_be_told_of_are_named() -> None:
    assert feature_set(allowed={"ann\\": Override("odd")}).left_out == ("ann\\",)


def test_whoever_follows_holds_what_is_there() -> None:
    chance = random.Random(7)
    held, contents = FeatureState(), FeaturePayload()
    for number in range(200):
        features = [
            {"name": name, "enabled": chance.random() < 0.5, "strategies": []}
            for name in "abcdef"
            if chance.random() < 0.7
        ]
        segments = [{"id": key, "name": str(chance.randrange(3))} for key in range(chance.randrange(4))]
        after = FeaturePayload.of(features, segments, before=contents)
        history = DeltaLog((Delta(tag(number, contents)),)).append(number + 1, contents, after)
        events = history.since(tag(number, contents))
        assert events is not None
        held.apply(map(json.loads, events))
        assert held.features == {name: item.wire for name, item in after.features.items()}
        assert held.segments == {key: item.wire for key, item in after.segments.items()}
        contents = after


@pytest.mark.parametrize("revision", [1, 2**20, 2**31, 2**32 + 1, 10**12])
def test_the_official_engine_takes_events_however_many_changes_and_restores_there_were(revision: int) -> None:
    """It reads the id as 32 bits, and leaves out an event with a greater one without a word."""
    engine = UnleashEngine()
    first = prepare(feature_set(revision, exposure=Exposure()))
    engine.take_state(first.hydration.decode())
    assert not engine.is_enabled(FLAG, {"userId": "anybody"}).is_enabled
    then = prepare(feature_set(revision + 1, before=first.feature_set, exposure=EVERYTHING), first)
    events = then.since(first.feature_set.tag)
    assert events is not None
    engine.take_state(events.decode())
    assert engine.is_enabled(FLAG, {"userId": "anybody"}).is_enabled


def test_payloads_are_made_once_for_the_same_contents() -> None:
    first = prepare(feature_set(exposure=EVERYTHING))
    same = prepare(feature_set(9, before=first.feature_set, exposure=EVERYTHING), first)
    assert same.features is first.features
    other = prepare(feature_set(10, before=first.feature_set, exposure=Exposure(allowlist=True)), same)
    assert other.features.etag != first.features.etag
    assert other.since(first.feature_set.tag) is not None
    assert other.since(f"{first.feature_set.id}.{'0' * 16}") is None
    assert other.since(f"{first.feature_set.id + 5}.{first.feature_set.contents.digest}") is None
