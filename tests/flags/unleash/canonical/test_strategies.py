from typing import Any

import pytest

from flags.evaluation.bucketing import bucket
from tests.flags.unleash.canonical.examples import engine, feature, is_on, mistakes, taken

NEVER = {"contextName": "userId", "operator": "IN", "inverted": False, "caseInsensitive": False, "values": []}


def share(**parameters: Any) -> dict[str, Any]:
    """Return a feature that is on for a share."""
    return feature({"name": "flexibleRollout", "parameters": parameters})


def test_an_empty_list_is_everybody_and_says_so() -> None:
    outcome = taken(feature() | {"strategies": []})
    assert [strategy["name"] for strategy in outcome.features[0]["strategies"]] == ["default"]
    assert "everybody" in outcome.repairs[0].sentence


def test_disabled_strategies_are_left_out_because_sdks_would_evaluate_them() -> None:
    named = {"name": "userWithId", "parameters": {"userIds": "a"}}
    outcome = taken(feature({"name": "default", "disabled": True}, named))
    assert [strategy["name"] for strategy in outcome.features[0]["strategies"]] == ["userWithId"]


def test_a_feature_with_nothing_but_disabled_strategies_is_on_for_nobody() -> None:
    raw = feature({"name": "default", "disabled": True})
    assert taken(raw).features[0]["strategies"][0]["constraints"] == [NEVER]
    assert not is_on(raw)


@pytest.mark.parametrize(("given", "sent"), [(25, "25"), (" 25", "25"), ("025", "25"), (0, "0"), (50.0, "50")])
def test_percentages_are_sent_as_text(given: Any, sent: str) -> None:
    (strategy,) = taken(share(rollout=given)).features[0]["strategies"]
    assert strategy["parameters"] == {"rollout": sent, "groupId": "F", "stickiness": "default"}


@pytest.mark.parametrize("given", ["12.5", "101", "-1", "", None, "many", 12.5, True, "²"])
def test_it_refuses_percentages_that_engines_round_differently(given: Any) -> None:
    assert "whole percentage" in mistakes(share(rollout=given))["strategies[0].parameters.rollout"]


def test_a_missing_group_is_the_feature_so_that_every_engine_hashes_the_same() -> None:
    place = bucket("F", "u1")
    assert is_on(share(rollout=place, stickiness="userId"))
    assert not is_on(share(rollout=place - 1, stickiness="userId"))


@pytest.mark.parametrize(
    ("parameters", "moves"),
    [
        ({"rollout": "50"}, True),
        ({"rollout": "50", "groupId": " F"}, True),
        ({"rollout": " 50", "groupId": "F"}, True),
        ({"rollout": 50, "groupId": "F"}, True),
        ({"rollout": "050", "groupId": "F"}, False),
    ],
)
def test_a_share_that_is_drawn_anew_takes_a_confirmation(parameters: dict[str, str], moves: bool) -> None:
    assert any(repair.moves for repair in taken(share(**parameters)).repairs) is moves


@pytest.mark.parametrize("group_id", ['q"', "back\\", "größe", "x" * 201])
def test_it_refuses_groups_that_engines_hash_differently(group_id: str) -> None:
    assert "ASCII" in mistakes(share(rollout=50, groupId=group_id))["strategies[0].parameters.groupId"]


@pytest.mark.parametrize(
    ("name", "parameters", "sent"),
    [
        ("userWithId", {"userIds": " a ,b,, c d "}, {"userIds": "a,b,c d"}),
        ("remoteAddress", {"IPs": "10.1.2.3/8, 10.invalid, 10.0.0.1"}, {"IPs": "10.0.0.0/8,10.0.0.1"}),
        ("applicationHostname", {"hostNames": "a.example, b"}, {"hostNames": "a.example,b"}),
        ("default", {"left": "over"}, {}),
        ("gradualRolloutRandom", {"percentage": "50", "groupId": "g"}, {"percentage": "50"}),
        ("gradualRolloutSessionId", {"percentage": 5}, {"percentage": "5", "groupId": "F"}),
    ],
)
def test_parameters_are_trimmed_and_limited_to_what_counts(name: str, parameters: Any, sent: Any) -> None:
    (strategy,) = taken(feature({"name": name, "parameters": parameters})).features[0]["strategies"]
    assert strategy["parameters"] == sent


@pytest.mark.parametrize(
    ("strategy", "field", "fault"),
    [
        ({"name": "ours"}, "name", "custom strategies"),
        ({}, "name", "custom strategies"),
        ({"name": "userWithId", "parameters": {"userIds": "a\\"}}, "parameters.userIds", "backslash"),
        ({"name": "default", "parameters": "none"}, "parameters", "object"),
        (
            {"name": "flexibleRollout", "parameters": {"rollout": "5", "stickiness": "toString"}},
            "parameters.stickiness",
            "Node",
        ),
        ({"name": "remoteAddress", "parameters": {"IPs": "10.1.2.3/255.0.0.0"}}, "parameters.IPs", "mask"),
        ({"name": "default", "segments": [1_000_000_000]}, "segments[0]", "999999999"),
        ({"name": "default", "segments": [True]}, "segments[0]", "True"),
        ({"name": "default", "disabled": "yes"}, "disabled", "true or false"),
    ],
)
def test_it_refuses_strategies_that_sdks_can_not_evaluate(strategy: Any, field: str, fault: str) -> None:
    assert fault in mistakes(feature(strategy))[f"strategies[0].{field}"]


def test_segments_are_listed_once_and_in_order() -> None:
    (strategy,) = taken(feature({"name": "default", "segments": [3, 1, 3]})).features[0]["strategies"]
    assert strategy["segments"] == [1, 3]


def test_a_variant_of_a_strategy_is_drawn_by_parameters_that_are_all_there() -> None:
    variants = [{"name": "a", "weight": 1, "stickiness": "plan"}, {"name": "b", "weight": 1}]
    (strategy,) = taken(feature({"name": "default", "variants": variants})).features[0]["strategies"]
    assert strategy["parameters"] == {"groupId": "F", "stickiness": "plan"}
    assert [variant["stickiness"] for variant in strategy["variants"]] == ["plan", "plan"]


def test_a_variant_has_the_stickiness_of_its_share_because_some_engines_go_by_that() -> None:
    variants = [{"name": name, "weight": 1, "stickiness": "plan"} for name in "ab"]
    parameters = {"rollout": "50", "stickiness": "userId"}
    outcome = taken(feature({"name": "flexibleRollout", "parameters": parameters, "variants": variants}))
    assert [variant["stickiness"] for variant in outcome.features[0]["strategies"][0]["variants"]] == ["userId"] * 2


def test_a_missing_segment_takes_only_its_strategy_away() -> None:
    raw = feature({"name": "default", "segments": [404]}, {"name": "userWithId", "parameters": {"userIds": "u1"}})
    asked = engine({"features": [raw]})
    assert asked.check_enabled("F", {"userId": "u1"}).is_enabled
    assert not asked.check_enabled("F", {"userId": "u2"}).is_enabled


def test_addresses_of_ipv6_are_a_constraint_that_all_engines_read() -> None:
    raw = feature({"name": "remoteAddress", "parameters": {"IPs": "::1,10.0.0.0/8"}})
    outcome = taken(raw)
    ((repair,), (strategy,)) = outcome.repairs, outcome.features[0]["strategies"]
    assert repair.moves
    assert (strategy["name"], strategy["parameters"]) == ("default", {})
    assert strategy["constraints"][0]["values"] == ["::1", "10.0.0.0/8"]
    asked = engine({"features": [raw]})
    for address, expected in (("::1", True), ("10.1.2.3", True), ("::2", False), ("11.0.0.1", False)):
        assert asked.check_enabled("F", {"remoteAddress": address}).is_enabled is expected


@pytest.mark.parametrize(
    ("own", "moves"), [({}, False), ({"stickiness": "default"}, True), ({"stickiness": "tenant"}, True)]
)
def test_variants_of_a_strategy_move_users_only_where_they_were_drawn_by_something_else(
    own: dict[str, str], moves: bool
) -> None:
    parameters = {"rollout": "50", "groupId": "F", "stickiness": "userId"}
    variants = [{"name": "blue", "weight": 1000, **own}]
    outcome = taken(feature({"name": "flexibleRollout", "parameters": parameters, "variants": variants}))
    assert [repair.moves for repair in outcome.repairs] == [moves]
    assert outcome.features[0]["strategies"][0]["variants"][0]["stickiness"] == "userId"


def test_names_in_the_variants_of_a_strategy_are_taken_out_because_one_engine_ignores_them() -> None:
    variants = [{"name": name, "weight": 500} for name in "ab"]
    variants[1]["overrides"] = [{"contextName": "userId", "values": ["u1", "u2", "u3"]}]
    outcome = taken(feature({"name": "default", "parameters": {"groupId": "F"}, "variants": variants}))
    [repair] = [each for each in outcome.repairs if each.moves]  # who had a variant by name is drawn like everybody
    assert "overrides in a strategy's variants" in repair.sentence
    assert all("overrides" not in each for each in outcome.features[0]["strategies"][0]["variants"])
