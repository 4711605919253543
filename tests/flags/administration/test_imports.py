"""An import takes what can be taken and names the rest; nobody is drawn again without a yes."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from flags import store
from tests.flags.unleash.exports import BATCH, SEGMENT, SINGLE, feature

Call = Callable[..., TestResponse]
IMPORT = "/api/environments/production/import"
STAGING_IMPORT = "/api/environments/staging/import"
GOOD = {"name": "good", "enabled": True, "strategies": [{"name": "default"}]}
WITH_PLAIN = BATCH | {"features": [*BATCH["features"], feature("plain")]}
BAD = {"name": "bad", "enabled": True, "strategies": [{"name": "ours"}]}
REDRAWN = {
    "name": "redrawn",
    "enabled": True,
    "strategies": [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": "50", "groupId": "redrawn", "stickiness": "userId"},
            "variants": [{"name": "blue", "weight": 1000, "stickiness": "sessionId"}],
        }
    ],
}


def imported(call: Call, *features: Any, query: str = "", **document: Any) -> TestResponse:
    return call("POST", f"{IMPORT}{query}", kind="admin", json={"features": [*features], **document})


def tagged(kind: str, value: str) -> dict[str, Any]:
    """Return an export of one flag with one tag."""
    environments: list[dict[str, Any]] = [
        {"name": each, "enabled": True, "strategies": [], "variants": []} for each in ("production", "staging")
    ]
    return {"name": "good", "environments": environments, "tags": [{"type": kind, "value": value}]}


def names(call: Call) -> list[str]:
    exported = call("GET", "/api/environments/production/export", kind="admin").get_json()
    return [feature["name"] for feature in exported["features"]]


def refused(answer: TestResponse) -> dict[str, str]:
    return {each["flag"]: each["message"] for each in answer.get_json()["refused"]}


def test_a_flag_that_can_not_be_taken_is_named_and_the_others_are_taken(call: Call) -> None:
    answer = imported(call, GOOD, BAD, GOOD | {"name": FLAG})
    assert (answer.status_code, answer.get_json()["features"]) == (200, 1)
    assert refused(answer).keys() == {"bad", FLAG}
    assert "custom strategies" in refused(answer)["bad"]
    assert names(call) == ["good"]


@pytest.mark.parametrize("query", ["?allOrNothing=true", "?replace=true"])
def test_all_or_nothing_takes_nothing_and_says_why(call: Call, query: str) -> None:
    imported(call, GOOD | {"name": "before"})
    answer = imported(call, GOOD, BAD, query=query)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_DEFINITION")
    assert names(call) == ["before"]


def test_a_repair_that_moves_users_takes_a_yes(call: Call) -> None:
    answer = imported(call, GOOD, REDRAWN)
    assert refused(answer).keys() == {"redrawn"}
    assert "confirmation" in refused(answer)["redrawn"]
    confirmed = imported(call, REDRAWN, query="?confirmMoving=true")
    assert (confirmed.get_json()["features"], confirmed.get_json()["refused"]) == (1, [])
    assert "stickiness" in confirmed.get_json()["repairs"][0]["message"]


def test_a_segment_that_is_refused_refuses_who_needs_it(call: Call) -> None:
    segment = SEGMENT | {"constraints": [{"contextName": "plan", "operator": "NUM_EQ", "value": "0x1"}]}
    needs = GOOD | {"name": "needs", "strategies": [{"name": "default", "segments": [3]}]}
    answer = imported(call, GOOD, needs, segments=[segment])
    assert refused(answer).keys() == {"needs", "segment 3"}
    assert names(call) == ["good"]


def test_unleashs_own_export_is_taken_with_its_tags(call: Call, app: Flask) -> None:
    answer = call("POST", IMPORT, kind="admin", json=BATCH | {"segments": [SEGMENT]})
    assert (answer.status_code, set(refused(answer))) == (200, {"search"})
    assert names(call) == ["checkout", "child"]
    with app.app_context(), read_only() as session:
        assert store.tags(session) == {"checkout": (("simple", "shop"), ("team", "payments"))}
    on = call("POST", "/ofrep/v1/evaluate/flags/checkout", kind="client", json={"context": {"targetingKey": "ann"}})
    assert (on.get_json()["variant"], on.get_json()["reason"]) == ("blue", "SPLIT")


def test_an_export_without_its_segments_finds_those_that_are_here(call: Call) -> None:
    assert refused(call("POST", IMPORT, kind="admin", json=WITH_PLAIN)).keys() == {"checkout", "search", "child"}
    imported(call, segments=[SEGMENT])
    assert refused(call("POST", IMPORT, kind="admin", json=WITH_PLAIN)).keys() == {"search"}


def test_what_is_refused_leaves_nothing_behind_that_lets_it_in_the_next_time(call: Call) -> None:
    needs = GOOD | {"name": "needs", "strategies": [{"name": "default", "segments": [3]}]}
    imported(call, needs)  # its segment is missing, and one without anybody takes its place
    for _ in range(2):
        answer = call("POST", IMPORT, kind="admin", json=WITH_PLAIN)
        assert refused(answer).keys() == {"checkout", "search", "child"}, "the child would be off without checkout"
        assert not [each for each in answer.get_json()["repairs"] if "missing" in each["message"]]
    assert call("GET", "/api/environments/production/export", kind="admin").get_json()["segments"][0]["id"] == 3


def test_one_feature_of_the_admin_api_is_taken(call: Call) -> None:
    assert call("POST", IMPORT, kind="admin", json=SINGLE).get_json()["features"] == 1
    assert names(call) == ["banner"]


def test_features_without_tags_in_their_form_keep_those_they_have(call: Call, app: Flask) -> None:
    call("POST", IMPORT, kind="admin", json=SINGLE)
    imported(call, GOOD | {"name": "banner"})
    with app.app_context(), read_only() as session:
        assert store.tags(session) == {"banner": (("simple", "web"),)}


def test_what_is_no_export_is_a_clear_refusal(call: Call) -> None:
    answer = call("POST", IMPORT, kind="admin", json=BATCH | {"featureStrategies": 7})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_DEFINITION")
    assert "featureStrategies" in answer.get_json()["detail"]


def test_what_has_neither_features_nor_segments_replaces_nothing(call: Call) -> None:
    imported(call, GOOD)
    place = {"name": "good", "environment": "production", "enabled": True, "strategies": []}
    for body in (place, {}):
        answer = call("POST", f"{IMPORT}?replace=true", kind="admin", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_DEFINITION")
    assert names(call) == ["good"]
    assert call("POST", f"{IMPORT}?replace=true", kind="admin", json={"features": []}).status_code == 200
    assert names(call) == []


def test_a_list_of_features_without_their_strategies_gives_nobody_anything(call: Call) -> None:
    """As Unleash's `GET /api/admin/projects/default/features` has them."""
    place = {"name": "production", "enabled": True, "hasStrategies": True, "variantCount": 0}
    listed = {"version": 2, "features": [{"name": name, "environments": [place]} for name in ("a", "b")]}
    answer = call("POST", IMPORT, kind="admin", json=listed)
    assert answer.status_code == 400
    assert "leaves out its strategies" in answer.get_json()["detail"]
    assert names(call) == []


def test_an_export_in_the_place_of_all_keeps_the_segments_that_it_names(call: Call) -> None:
    segment = {"id": 3, "name": "pros", "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}
    other = segment | {"id": 4, "name": "others"}
    assert call("POST", IMPORT, kind="admin", json={"segments": [segment, other]}).status_code == 200
    lists = ("features", "featureStrategies", "featureEnvironments")
    # Without the flag that can't be taken.
    listed = {name: [each for each in BATCH[name] if "search" not in each.values()] for name in lists}
    answer = call("POST", f"{IMPORT}?replace=true", kind="admin", json=BATCH | listed)
    assert answer.status_code == 200, answer.text
    found = call("GET", "/api/environments/production/segments", kind="admin").get_json()["segments"]
    assert [(each["name"], each["constraints"][0]["values"]) for each in found] == [("pros", ["pro"])]


def test_the_trail_says_how_many_were_taken_and_refused(call: Call, app: Flask) -> None:
    imported(call, GOOD, BAD)
    with app.app_context(), read_only() as session:
        (entry,) = audit.latest(session, subject="environment:production")
    assert (entry.before, entry.after) == ({"flags": 0}, {"flags": 1, "refused": 1, "replaced_all": False})


CHILD = GOOD | {"name": "child", "dependencies": [{"feature": "good", "enabled": True, "variants": ["v0"]}]}
VARIANTS = [{"name": "v0", "weight": 1000}]


def test_what_depends_on_a_flag_that_is_not_taken_takes_a_yes_because_it_would_be_off(call: Call) -> None:
    child = GOOD | {"name": "needs bad", "dependencies": [{"feature": "bad"}]}
    grandchild = GOOD | {"name": "needs that", "dependencies": [{"feature": "needs bad", "enabled": False}]}
    answer = imported(call, GOOD, BAD, child, grandchild)
    assert (answer.get_json()["features"], set(refused(answer))) == (1, {"bad", "needs bad", "needs that"})
    assert "off for everybody" in refused(answer)["needs bad"]
    assert imported(call, child, query="?confirmMoving=true").get_json()["features"] == 1
    here = [GOOD | {"name": f"needs {each}", "dependencies": [{"feature": each}]} for each in ("good", FLAG)]
    assert imported(call, *here).get_json()["refused"] == []


def test_a_strategy_whose_place_the_export_leaves_out_takes_a_yes_where_it_decides(call: Call) -> None:
    named = {"featureName": "good", "name": "userWithId", "parameters": {"userIds": "a"}}
    drawn = {"featureName": "good", "name": "flexibleRollout", "parameters": {"rollout": "50", "groupId": "good"}}
    variants = [{"name": "blue", "weight": 1000, "stickiness": "default"}]
    switched = {"featureName": "good", "environment": "production", "enabled": True}
    batch: dict[str, Any] = {
        "featureStrategies": [named, drawn | {"variants": variants}],
        "featureEnvironments": [switched],
    }
    answer = imported(call, {"name": "good"}, GOOD | {"name": "other"}, **batch)
    assert refused(answer).keys() == {"good"}
    assert "which of its strategies is asked first" in refused(answer)["good"]
    assert imported(call, {"name": "good"}, query="?confirmMoving=true", **batch).get_json()["refused"] == []


def test_a_dependency_on_a_variant_of_a_flag_without_variants_is_refused(call: Call) -> None:
    answer = imported(call, GOOD, CHILD)
    assert (answer.get_json()["features"], set(refused(answer))) == (1, {"child"})
    assert "engines differ" in refused(answer)["child"]
    assert imported(call, CHILD).status_code == 400, "of one that is stored too"
    assert imported(call, GOOD | {"variants": VARIANTS}, CHILD).get_json()["refused"] == []


def test_a_dependency_on_a_variant_that_some_users_of_the_flag_lack_is_refused(call: Call) -> None:
    parameters = {"rollout": "50", "stickiness": "userId", "groupId": "good"}
    drawn = {"name": "flexibleRollout", "parameters": parameters, "variants": VARIANTS}
    some = GOOD | {"strategies": [{"name": "default"}, drawn]}
    answer = imported(call, some, CHILD)
    assert (answer.get_json()["features"], set(refused(answer))) == (1, {"child"})
    assert "gives none to some users" in refused(answer)["child"]
    drawn = drawn | {"variants": [VARIANTS[0] | {"stickiness": "userId"}]}
    assert imported(call, GOOD | {"strategies": [drawn]}, CHILD).get_json()["refused"] == []


def test_a_flag_that_others_ask_a_variant_of_keeps_having_one(call: Call) -> None:
    imported(call, GOOD | {"variants": VARIANTS}, CHILD)
    assert imported(call, GOOD).status_code == 400
    path = "/api/flags/good/environments/production"
    answer = call("PATCH", path, kind="admin", json={"version": 1, "reason": "Tidy.", "variants": []})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_DEFINITION")
    assert "child depends on a variant of good" in answer.get_json()["detail"]
    whole = imported(call, GOOD, query="?replace=true")
    assert whole.get_json()["features"] == 1, "whoever asked for it is gone as well"


def test_an_owner_of_staging_changes_no_tags_of_what_production_has(
    call: Call, app: Flask, make_token: Callable[..., str]
) -> None:
    """Tags belong to the flag everywhere, and an SDK may ask for the flags of a tag alone."""
    assert call("POST", IMPORT, kind="admin", json=tagged("simple", "checkout")).status_code == 200
    assert call("POST", STAGING_IMPORT, kind="admin", json=tagged("simple", "checkout")).status_code == 200
    staging = {"Authorization": make_token("admin", role="owner", environment="staging")}
    for value, status in (("checkout", 200), ("other", 403)):
        answer = app.test_client().post(STAGING_IMPORT, json=tagged("simple", value), headers=staging)
        assert answer.status_code == status, answer.json
    with app.app_context(), read_only() as session:
        assert store.tags(session) == {"good": (("simple", "checkout"),)}


def with_segment(number: int, *values: str) -> dict[str, Any]:
    constraint = {"contextName": "userId", "operator": "IN", "values": [*values]}
    return {"id": number, "name": "+".join(values), "constraints": [constraint]}


def test_what_is_archived_is_left_out_and_named(call: Call) -> None:
    answer = imported(call, GOOD, GOOD | {"name": "old", "archived": True}, GOOD | {"name": "x", "archivedAt": "2026"})
    assert (answer.get_json()["features"], answer.get_json()["refused"]) == (1, [])
    assert [each["field"] for each in answer.get_json()["repairs"] if "left out" in each["message"]][:2] == ["old", "x"]
    assert names(call) == ["good"]
    batch = {**BATCH, "features": [{**each, "archived": True} for each in BATCH["features"]]}
    assert call("POST", IMPORT, kind="admin", json=batch).get_json()["features"] == 0


def test_the_one_strategy_of_version_1_is_not_dropped_in_silence(call: Call) -> None:
    """Without it the flag would be on for everybody."""
    alone = {"name": "old", "enabled": True, "strategy": "userWithId", "parameters": {"userIds": "1"}}
    answer = imported(call, GOOD, alone)
    assert (answer.get_json()["features"], set(refused(answer))) == (1, {"old"})


def test_another_segment_of_the_same_number_takes_a_yes_where_other_flags_refer_to_it(call: Call) -> None:
    here, there = (GOOD | {"name": name, "strategies": [{"name": "default", "segments": [1]}]} for name in "ht")
    assert imported(call, here, segments=[with_segment(1, "a")]).get_json()["refused"] == []
    assert imported(call, there, segments=[with_segment(1, "a")]).get_json()["refused"] == []
    for document in (there, GOOD | {"name": "other"}):
        answer = imported(call, document, GOOD, segments=[with_segment(1, "b"), with_segment(2, "c")])
        assert "is 'a' here, which h refers to" in refused(answer)["segment 1"]
        assert ("t" in refused(answer)) is (document is there)
    listed = call("GET", "/api/environments/production/export", kind="admin").get_json()["segments"]
    assert [each["name"] for each in listed] == ["a", "c"]
    assert imported(call, here, there, segments=[with_segment(1, "b")]).get_json()["refused"] == []
    confirmed = imported(call, there, query="?confirmMoving=true", segments=[with_segment(1, "d")])
    assert confirmed.get_json()["refused"] == []
