from typing import Any

import pytest

from flags.unleash.canonical import (
    Definitions,
    InvalidDefinition,
    acceptable_definitions,
    canonical_definitions,
    placeholders,
)
from tests.flags.unleash.canonical.examples import feature, mistakes, taken

SEGMENT = {"id": 7, "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}


def test_a_feature_is_sent_whole() -> None:
    (made,) = taken({"name": "F", "enabled": False, "strategies": [{"name": "default"}], "createdAt": "2026"}).features
    assert made == {
        "name": "F",
        "type": "release",
        "project": "default",
        "description": None,
        "enabled": False,
        "stale": False,
        "impressionData": False,
        "strategies": [{"name": "default", "parameters": {}, "constraints": [], "segments": [], "variants": []}],
        "variants": [],
        "dependencies": [],
    }


def test_what_sdks_have_no_use_for_is_left_out_and_told() -> None:
    repairs = taken(feature(createdAt="2026", lastSeenAt=None)).repairs
    assert [(repair.field, repair.sentence) for repair in repairs] == [
        ("features[0]", "SDKs have no use for createdAt, lastSeenAt, which is left out.")
    ]


def test_dependencies_say_what_they_need_of_the_parent() -> None:
    dependencies = [{"feature": "P"}, {"feature": "Q", "enabled": False}, {"feature": "R", "variants": ["a"]}]
    (made,) = taken(feature(dependencies=dependencies)).features
    assert made["dependencies"] == [
        {"feature": "P", "enabled": True},
        {"feature": "Q", "enabled": False},
        {"feature": "R", "enabled": True, "variants": ["a"]},
    ]


@pytest.mark.parametrize(
    ("change", "field", "fault"),
    [
        ({"name": ""}, "name", "Text is needed"),
        ({"name": 'the "flag"'}, "name", "no quotes"),
        ({"name": "x" * 201}, "name", "200"),
        ({"name": "a/b"}, "name", "No address leads"),
        ({"name": ".."}, "name", "No address leads"),
        ({"name": "__proto__"}, "name", "JavaScript"),
        ({"dependencies": [{"feature": "valueOf", "enabled": False}]}, "dependencies[0].feature", "JavaScript"),
        ({"variants": [{"name": "constructor", "weight": 1}]}, "variants[0].name", "JavaScript"),
        ({"enabled": None}, "enabled", "true or false"),
        ({"enabled": "true"}, "enabled", "true or false"),
        ({"type": "toy"}, "type", "toy"),
        ({"strategies": {}}, "strategies", "A list is needed"),
        ({"dependencies": [{"feature": "F"}]}, "dependencies[0].feature", "itself"),
    ],
)
def test_it_refuses_features_that_sdks_can_not_hold(change: dict[str, Any], field: str, fault: str) -> None:
    assert fault in mistakes(feature(**change))[field]


def test_every_mistake_is_told_at_once_with_its_field() -> None:
    raw = feature({"name": "ours"}, {"name": "flexibleRollout", "parameters": {"rollout": "12.5"}}, enabled=1)
    assert mistakes(raw).keys() == {"enabled", "strategies[0].name", "strategies[1].parameters.rollout"}
    assert "features[0].enabled: true or false is needed, not 1." in str(canonical_definitions({"features": [raw]}))


@pytest.mark.parametrize("raw", [None, [], "F", 7])
def test_what_is_no_object_is_refused(raw: Any) -> None:
    assert isinstance(canonical_definitions({"features": [raw]}), InvalidDefinition)
    assert isinstance(canonical_definitions({"segments": [raw]}), InvalidDefinition)
    assert isinstance(canonical_definitions(raw), InvalidDefinition)


@pytest.mark.parametrize("given", [{}, {"name": None}, {"name": " \t"}])
def test_a_segment_is_sent_whole(given: dict[str, Any]) -> None:
    outcome = canonical_definitions({"segments": [SEGMENT | given]})
    assert isinstance(outcome, Definitions)
    assert [(each["id"], each["name"], len(each["constraints"])) for each in outcome.segments] == [(7, "segment 7", 1)]


@pytest.mark.parametrize("number", [None, "7", -1, 7.0, True, 1_000_000_000])
def test_it_refuses_segment_ids_that_sdks_can_not_hold_or_that_belong_to_rollouts(number: Any) -> None:
    assert isinstance(canonical_definitions({"segments": [SEGMENT | {"id": number}]}), InvalidDefinition)


@pytest.mark.parametrize(
    ("raw", "field"),
    [({"features": [feature(), feature()]}, "features[1].name"), ({"segments": [SEGMENT, SEGMENT]}, "segments[1].id")],
)
def test_it_refuses_what_is_there_twice(raw: Any, field: str) -> None:
    outcome = canonical_definitions(raw)
    assert isinstance(outcome, InvalidDefinition)
    assert [mistake.field for mistake in outcome.mistakes] == [field]


def test_a_segment_that_is_not_there_is_stood_in_for_by_one_without_anybody() -> None:
    outcome = canonical_definitions(
        {"features": [feature({"name": "default", "segments": [7, 9]})], "segments": [SEGMENT]}
    )
    assert isinstance(outcome, Definitions)
    assert [segment["id"] for segment in outcome.segments] == [7, 9]
    assert outcome.segments[1]["constraints"][0]["values"] == []
    assert "Segment 9 is missing" in outcome.repairs[-1].sentence
    assert placeholders(outcome.features, outcome.segments) == []


def test_a_segment_whose_repair_moves_users_takes_a_confirmation_and_so_do_its_features() -> None:
    padded = {"id": 7, "constraints": [{"contextName": "plan", "operator": "IN", "values": [" pro"]}]}
    raw = {"features": [feature({"name": "default", "segments": [7]})], "segments": [padded]}
    outcome = acceptable_definitions(raw, confirm_moving=False)
    assert isinstance(outcome, Definitions)
    assert (outcome.features, outcome.segments) == ((), ())
    assert [each.name for each in outcome.refusals] == ["F", "segment 7"]
    assert isinstance(acceptable_definitions(raw, confirm_moving=True), Definitions)


def test_nothing_is_a_set_of_definitions_too() -> None:
    assert canonical_definitions({}) == Definitions()
