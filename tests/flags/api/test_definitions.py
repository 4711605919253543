"""Flags without a rollout: switched, imported, exported, and refused where engines would differ."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from flags.administration import definitions
from flags.store import UserAttributes
from tests.installation import Installation

Call = Callable[..., TestResponse]
IMPORT = "/api/environments/production/import"
GRADUAL = {
    "name": "gradual",
    "enabled": True,
    "strategies": [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": "100", "stickiness": "userId", "groupId": "gradual"},
            "segments": [7],
        }
    ],
    "variants": [{"name": "blue", "weight": 1000, "payload": {"type": "number", "value": "5.0"}}],
}
PROS = {"id": 7, "name": "pros", "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}


def value(call: Call, key: str, **attributes: str) -> dict[str, Any]:
    answer = call("POST", f"/ofrep/v1/evaluate/flags/{key}", kind="client", json={"context": attributes})
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_flag_is_on_or_off_per_environment(call: Call) -> None:
    body = {"name": "new-look", "environments": {"production": False, "staging": True}}
    assert call("POST", "/api/flags", kind="admin", json=body).status_code == 201
    assert value(call, "new-look")["reason"] == "DISABLED"
    on = {"enabled": True, "reason": "It is ready."}
    assert call("PUT", "/api/flags/new-look/environments/production", kind="admin", json=on).status_code == 200
    answer = value(call, "new-look")
    assert (answer["value"], answer["reason"]) == (True, "STATIC")
    listed = call("GET", "/api/flags", kind="admin").get_json()["flags"]
    assert listed == [
        {"name": FLAG, "rollout": True},
        {"name": "new-look", "rollout": False, "environments": {"production": True, "staging": True}},
    ]
    assert call("DELETE", "/api/flags/new-look", kind="admin", json={"reason": "Done."}).status_code == 204
    assert value(call, "new-look")["errorCode"] == "FLAG_NOT_FOUND"


def test_flags_are_listed_a_page_at_a_time_by_name(call: Call) -> None:
    for name in ("b", "a", "c"):
        call("POST", "/api/flags", kind="admin", json={"name": name, "environments": {"staging": True}})
    pages, more = [], ""
    while True:
        page = call("GET", f"/api/flags?limit=2&cursor={more}", kind="admin").get_json()
        pages.append([each["name"] for each in page["flags"]])
        more = page.get("next")
        if not more:
            break
    assert pages == [[FLAG, "a"], ["b", "c"]]
    assert call("GET", "/api/flags?limit=0", kind="admin").get_json()["code"] == "INVALID_PARAMETER"


def test_definitions_are_taken_evaluated_and_given_back(call: Call, installation: Installation) -> None:
    installation.users(UserAttributes("7", "pro"), UserAttributes("8", "free"))
    taken = call("POST", IMPORT, kind="admin", json={"features": [GRADUAL], "segments": [PROS]})
    assert (taken.status_code, taken.get_json()["features"], taken.get_json()["segments"]) == (200, 1, 1)
    inside, outside = value(call, "gradual", targetingKey="7"), value(call, "gradual", targetingKey="8", plan="pro")
    assert (inside["value"], type(inside["value"]), inside["variant"], inside["reason"]) == (
        5.0,
        float,
        "blue",
        "SPLIT",
    )
    assert ("value" in outside, outside["variant"]) == (False, "disabled")
    exported = call("GET", "/api/environments/production/export", kind="admin").get_json()
    [feature] = exported["features"]
    assert feature["strategies"][0]["parameters"]["groupId"] == "gradual"
    again = call("POST", f"{IMPORT}?replace=true", kind="admin", json=exported)
    assert again.get_json()["repairs"] == []


def test_a_merge_keeps_the_segment_that_the_import_only_refers_to(call: Call) -> None:
    call("POST", IMPORT, kind="admin", json={"features": [GRADUAL], "segments": [PROS]})
    call("POST", IMPORT, kind="admin", json={"features": [{**GRADUAL, "name": "other"}]})
    exported = call("GET", "/api/environments/production/export", kind="admin").get_json()
    assert [feature["name"] for feature in exported["features"]] == ["gradual", "other"]
    [segment] = exported["segments"]
    assert segment["name"] == "pros"
    call("POST", f"{IMPORT}?replace=true", kind="admin", json={"features": []})
    assert call("GET", "/api/environments/production/export", kind="admin").get_json()["features"] == []


def test_what_engines_would_read_differently_is_refused_by_field(call: Call) -> None:
    strategy = {"name": "flexibleRollout", "parameters": {"rollout": "12.5"}}
    answer = call("POST", IMPORT, kind="admin", json={"features": [{**GRADUAL, "strategies": [strategy]}]})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_DEFINITION")
    assert any("rollout" in error["field"] for error in answer.get_json()["errors"])


def test_a_flag_under_a_rollout_is_changed_by_its_rollout_alone(call: Call) -> None:
    definition = {"features": [{**GRADUAL, "name": FLAG, "strategies": [{"name": "default"}]}]}
    switch = {"enabled": True, "reason": "-"}
    answers = [
        call("POST", IMPORT, kind="admin", json=definition),
        call("POST", "/api/flags", kind="admin", json={"name": FLAG, "environments": {"production": True}}),
        call("PUT", f"/api/flags/{FLAG}/environments/production", kind="admin", json=switch),
        call("DELETE", f"/api/flags/{FLAG}", kind="admin", json={"reason": "-"}),
    ]
    assert {answer.get_json()["code"] for answer in answers} == {"FLAG_UNDER_ROLLOUT"}
    assert {answer.status_code for answer in answers} == {409}


@pytest.mark.long
def test_an_environment_has_room_for_ten_thousand_flags(call: Call) -> None:
    features = [
        {"name": f"f{number}", "enabled": True, "strategies": [{"name": "default"}]} for number in range(10_000)
    ]
    assert call("POST", IMPORT, kind="admin", json={"features": features}).get_json()["features"] == 10_000
    assert len(call("GET", "/api/frontend", kind="frontend").get_json()["toggles"]) == 10_000


def test_there_is_a_bound_on_how_many_flags_an_environment_has(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "FLAGS_MAX", 1)
    assert call("POST", "/api/flags", kind="admin", json={"name": "a", "environments": {"x": True}}).status_code == 201
    answer = call("POST", "/api/flags", kind="admin", json={"name": "b", "environments": {"x": True}})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "TOO_MANY_FLAGS")


@pytest.mark.parametrize(
    ("path", "code"),
    [("/api/environments/a%20b/import", "INVALID_ENVIRONMENT"), (f"{IMPORT}?replace=perhaps", "INVALID_PARAMETER")],
)
def test_an_address_that_cant_be_meant_is_refused(call: Call, path: str, code: str) -> None:
    assert call("POST", path, kind="admin", json={"features": []}).get_json()["code"] == code


def test_switching_on_asks_for_more_than_switching_off(
    call: Call, sign_in: Callable[[str], FlaskClient], app: Flask
) -> None:
    call("POST", "/api/flags", kind="admin", json={"name": "a", "environments": {"production": True}})
    olga, path = sign_in("olga"), "/api/flags/a/environments/production"
    assert olga.put(path, json={"enabled": False, "reason": "It hurts."}).status_code == 200
    assert olga.put(path, json={"enabled": True, "reason": "It heals."}).status_code == 403
    with app.app_context(), read_only() as session:
        switched = audit.latest(session, subject="flag:a")[0]
    assert (switched.actor, switched.before, switched.after) == ("olga", {"production": True}, {"production": False})


def test_a_flag_on_which_others_depend_stays(call: Call) -> None:
    """Without it they would be off, and nobody asked for that."""
    parent = {"name": "parent", "enabled": True, "strategies": [{"name": "default"}]}
    child = parent | {"name": "child", "dependencies": [{"feature": "parent"}]}
    assert call("POST", IMPORT, kind="admin", json={"features": [parent, child]}).status_code == 200
    here = "/api/flags/parent/environments/production"
    for path, body in [("/api/flags/parent", {}), (here, {"version": 1})]:
        kept = call("DELETE", path, kind="admin", json={"reason": "Done.", **body})
        assert (kept.status_code, kept.get_json()["code"], kept.get_json()["flags"]) == (409, "FLAG_IN_USE", ["child"])
    assert value(call, "child")["value"] is True
    for name in ("child", "parent"):
        assert call("DELETE", f"/api/flags/{name}", kind="admin", json={"reason": "Done."}).status_code == 204
