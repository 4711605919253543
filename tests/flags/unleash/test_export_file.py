"""Unleash's exports become the features that SDKs of one environment are given."""

from typing import Any

import pytest

from flags.unleash.canonical import Definitions, canonical_definitions
from flags.unleash.export_file import ExportedFlags, MalformedExport, client_features
from tests.flags.unleash.exports import BATCH, FIRST, GRADUAL, SEGMENT, SINGLE, environment, feature


def exported(raw: object, place: str = "production", known: Any = ()) -> ExportedFlags:
    found = client_features(raw, place, known)
    assert isinstance(found, ExportedFlags)
    return found


def test_a_batch_is_put_together_by_feature() -> None:
    found = exported(BATCH, known=[SEGMENT])
    checkout, _, child = found.document["features"]
    assert [each["name"] for each in checkout["strategies"]] == ["userWithId", "flexibleRollout"], "by their order"
    assert checkout["strategies"][1]["parameters"] == {"groupId": "checkout", "rollout": "25", "stickiness": "userId"}
    assert (checkout["enabled"], checkout["variants"][0]["name"], checkout["impressionData"]) == (True, "blue", True)
    assert (child["enabled"], child["dependencies"]) == (False, [{"feature": "checkout", "enabled": True}])
    assert found.tags == {"checkout": (("simple", "shop"), ("team", "payments"))}
    assert found.refused == {}
    taken = canonical_definitions({"features": [checkout, child]})
    assert isinstance(taken, Definitions)
    assert not [each for each in taken.repairs if each.moves]


def _without_order(*strategies: dict[str, Any]) -> dict[str, Any]:
    """Return a batch as a real server writes it, which leaves out `sortOrder`."""
    listed = [{name: value for name, value in each.items() if name != "sortOrder"} for each in strategies]
    return BATCH | {"featureStrategies": listed, "segments": [SEGMENT]}


def test_strategies_without_an_order_are_in_that_of_their_ids() -> None:
    (checkout, *_) = exported(_without_order(FIRST, GRADUAL)).document["features"]
    assert [each["name"] for each in checkout["strategies"]] == ["flexibleRollout", "userWithId"]


BLUE = [{"name": "blue", "weight": 1000}]


@pytest.mark.parametrize(
    ("first", "second", "is_unordered"),
    [
        ({}, {}, False),
        ({"variants": BLUE}, {}, True),
        ({"variants": BLUE}, {"disabled": True}, False),
        ({"variants": BLUE, "parameters": {"groupId": "g"}}, {"variants": BLUE, "parameters": {"groupId": "g"}}, False),
        ({"variants": BLUE, "parameters": {"groupId": "g"}}, {"variants": BLUE, "parameters": {"groupId": "h"}}, True),
    ],
)
def test_strategies_without_an_order_are_told_where_it_decides_who_has_which_variant(
    first: dict[str, Any], second: dict[str, Any], is_unordered: bool
) -> None:
    strategies = FIRST | first, GRADUAL | second
    assert ("checkout" in exported(_without_order(*strategies)).unordered) is is_unordered
    assert exported(BATCH | {"featureStrategies": [*strategies], "segments": [SEGMENT]}).unordered == {}


def test_a_segment_that_nobody_knows_refuses_its_features_by_name() -> None:
    found = exported(BATCH)
    assert found.refused.keys() == {"checkout"}
    assert "segment 3 (pros)" in found.refused["checkout"]


def test_segments_with_their_constraints_beside_it_are_taken() -> None:
    found = exported(BATCH | {"segments": [SEGMENT]})
    assert found.refused == {}
    assert found.document["segments"] == [{name: SEGMENT[name] for name in ("id", "name", "constraints")}]


def test_of_several_environments_the_one_of_this_name_counts_and_of_one_any() -> None:
    both = BATCH | {
        "featureEnvironments": [
            environment("checkout", enabled=True),
            environment("checkout", enabled=False, of="production"),
        ],
        "featureStrategies": [FIRST | {"environment": "development"}],
    }
    (checkout, *_) = exported(both).document["features"]
    assert (checkout["enabled"], checkout["strategies"]) == (False, [])
    (checkout, *_) = exported(both, "development").document["features"]
    assert (checkout["enabled"], len(checkout["strategies"])) == (True, 1)


def test_a_segment_of_another_name_is_another_one_though_it_has_the_number() -> None:
    here = {"id": 3, "name": "people of the north", "constraints": []}
    found = client_features(BATCH, "development", [here])
    assert isinstance(found, ExportedFlags)
    assert "leaves out whom segment 3 (pros) holds" in found.refused["checkout"]


def test_a_segment_that_is_known_here_comes_along_where_it_is_named() -> None:
    here = {"id": 3, "name": "pros", "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}
    found = client_features(BATCH, "development", [here, here | {"id": 9, "name": "others"}])
    assert isinstance(found, ExportedFlags)
    assert (found.refused, found.document["segments"]) == ({}, [here])


def test_segments_that_an_earlier_release_lists_apart_are_those_of_their_strategies() -> None:
    """`GET /api/admin/state/export`, which releases before 6 have."""
    strategy = {name: value for name, value in GRADUAL.items() if name not in ("segments", "name")}
    state = {
        "version": 4,
        "features": [feature("checkout"), feature("elsewhere")],
        "featureStrategies": [strategy | {"strategyName": "flexibleRollout", "environment": "production"}],
        "featureStrategySegments": [{"featureStrategyId": GRADUAL["id"], "segmentId": 3}],
        "featureEnvironments": [
            environment("checkout", enabled=True, of="production"),
            environment("elsewhere", enabled=True),
        ],
        "segments": [SEGMENT],
    }
    found = exported(state, "production")
    (checkout,) = found.document["features"]
    assert [(each["name"], each["segments"]) for each in checkout["strategies"]] == [("flexibleRollout", [3])]
    assert "says nothing of production" in found.refused["elsewhere"]


@pytest.mark.parametrize("raw", [SINGLE, {"features": [SINGLE]}])
def test_a_feature_of_the_admin_api_is_taken_for_its_environment(raw: Any) -> None:
    found = exported(raw)
    (banner,) = found.document["features"]
    assert (banner["enabled"], banner["strategies"][0]["name"]) == (False, "flexibleRollout")
    assert found.tags == {"banner": (("simple", "web"),)}
    (banner,) = exported(raw, "development").document["features"]
    assert (banner["enabled"], banner["strategies"][0]["name"]) == (True, "default")
    elsewhere = exported(raw, "staging")
    assert elsewhere.document["features"] == []
    assert (
        "says nothing of staging; it has the feature as it is in development, production."
        in (elsewhere.refused["banner"])
    )


def without(name: str) -> dict[str, Any]:
    """Return the one feature without this of its environments, nor of itself."""
    places = [{key: value for key, value in each.items() if key != name} for each in SINGLE["environments"]]
    return {key: value for key, value in SINGLE.items() if key != name} | {"environments": places}


@pytest.mark.parametrize("part", ["strategies", "variants"])
def test_a_feature_whose_document_leaves_out_who_has_what_is_refused(part: str) -> None:
    """A project's list has no strategies, and without any everybody would be in."""
    found = exported({"features": [without(part), SINGLE | {"name": "whole"}]}, "development")
    assert [each["name"] for each in found.document["features"]] == ["whole"]
    assert "?variantEnvironments=true has all of it." in found.refused["banner"]


@pytest.mark.parametrize("raw", [{"features": [feature("a")]}, {"events": []}, [], None, 7, {}])
def test_any_other_document_stays_as_it_is(raw: object) -> None:
    assert client_features(raw, "production", ()) is raw


@pytest.mark.parametrize(
    "raw",
    [
        BATCH | {"features": {}},
        BATCH | {"features": [7]},
        BATCH | {"featureStrategies": "x"},
        {name: value for name, value in BATCH.items() if name != "featureStrategies"},
        BATCH | {"featureTags": [[]]},
        BATCH | {"segments": [1]},
        BATCH | {"dependencies": [None]},
        SINGLE | {"environments": [7]},
        SINGLE | {"tags": "web"},
    ],
)
def test_what_is_no_export_says_where(raw: object) -> None:
    with pytest.raises(MalformedExport, match="needed"):
        client_features(raw, "production", ())


def test_keys_of_odd_types_break_nothing() -> None:
    odd = BATCH | {
        "features": [feature("a") | {"name": []}],
        "featureStrategies": [FIRST | {"featureName": {}, "sortOrder": "1"}],
        "featureEnvironments": [environment("a", enabled=True) | {"featureName": [], "environment": {}}],
        "segments": [{"id": [], "name": 1}],
    }
    assert exported(odd).document["features"]
