"""Segments over HTTP: listed with their flags, changed and removed by whoever saw their latest version."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only

Call = Callable[..., TestResponse]
PATH = "/api/environments/production/segments"
FLAG_PATH = "/api/flags/look/environments/production"
WHY = {"reason": "A test."}
PROS = {"name": "pros", "constraints": [{"contextName": "userId", "operator": "IN", "values": ["7"]}]}


@pytest.fixture(autouse=True)
def segment_flag(call: Call) -> None:
    """A flag that is on in production for the segment of pros alone."""
    call("POST", "/api/flags", kind="admin", json={"name": "look", "environments": {"production": True}})
    assert put(call, 0).get_json()["version"] == 1
    strategies = [{"name": "default", "segments": [3]}]
    call("PATCH", FLAG_PATH, kind="admin", json={"version": 1, **WHY, "strategies": strategies})


def put(call: Call, version: int, number: int = 3, **fields: Any) -> TestResponse:
    return call("PUT", f"{PATH}/{number}", kind="admin", json={"version": version, **WHY, **PROS, **fields})


def delete(call: Call, version: int, number: int = 3) -> TestResponse:
    return call("DELETE", f"{PATH}/{number}", kind="admin", json={"version": version, **WHY})


def listed(call: Call) -> Mapping[int, Mapping[str, Any]]:
    return {each["id"]: each for each in call("GET", PATH, kind="admin").get_json()["segments"]}


def on(call: Call, user: str = "7") -> bool:
    answer = call("POST", "/ofrep/v1/evaluate/flags/look", kind="client", json={"context": {"targetingKey": user}})
    return bool(answer.get_json()["value"])


def test_segments_are_listed_and_changed_by_whoever_saw_them_last(call: Call) -> None:
    assert (listed(call)[3]["version"], listed(call)[3]["flags"]) == (1, ["look"])
    assert (on(call, "7"), on(call, "8")) == (True, False)
    widened = [{"contextName": "userId", "operator": "IN", "values": ["7", "8"]}]
    assert put(call, 1, constraints=widened).get_json()["version"] == 2
    assert on(call, "8")
    late = put(call, 1)
    assert (late.status_code, late.get_json()["code"], late.get_json()["version"]) == (409, "VERSION_CONFLICT", 2)
    bad = put(call, 2, constraints=[{"contextName": "a", "operator": "NUM_EQ", "value": "x"}])
    assert bad.get_json()["code"] == "INVALID_DEFINITION"


def test_a_version_that_no_segment_can_have_is_refused(call: Call) -> None:
    assert put(call, 2**63, number=6).status_code == 422
    assert delete(call, 2**63).status_code == 422


def test_a_segment_in_use_is_not_removed_and_the_flags_are_named(call: Call) -> None:
    answer = delete(call, 1)
    assert (answer.status_code, answer.get_json()["code"], answer.get_json()["flags"]) == (
        409,
        "SEGMENT_IN_USE",
        ["look"],
    )
    assert "'pros': look" in answer.get_json()["detail"]
    assert on(call, "7")
    call("PATCH", FLAG_PATH, kind="admin", json={"version": 2, **WHY, "strategies": [{"name": "default"}]})
    assert delete(call, 1).status_code == 204
    assert listed(call) == {}


def test_a_segment_is_removed_by_whoever_saw_its_latest_version(app: Flask, call: Call) -> None:
    put(call, 0, number=4)
    put(call, 1, number=4, name="others")
    late = delete(call, 1, number=4)
    assert (late.status_code, late.get_json()["code"], late.get_json()["version"]) == (409, "VERSION_CONFLICT", 2)
    assert delete(call, 2, number=4).status_code == 204
    assert delete(call, 2, number=4).get_json()["code"] == "SEGMENT_NOT_FOUND"
    with app.app_context(), read_only() as session:
        (entry, *_) = audit.latest(session, subject="segment:4")
    assert (entry.action, entry.reason, entry.after) == ("segment.delete", "A test.", None)
    assert entry.before is not None
    before: Any = entry.before["production"]
    assert before["name"] == "others"


def test_operators_look_and_owners_change(sign_in: Callable[[str], FlaskClient]) -> None:
    olga = sign_in("olga")
    assert olga.get(PATH).status_code == 200
    assert olga.put(f"{PATH}/3", json={"version": 1, **WHY, **PROS}).status_code == 403
    assert olga.delete(f"{PATH}/3", json={"version": 1, **WHY}).status_code == 403


def test_the_fields_that_a_service_has_to_send_are_listed(call: Call) -> None:
    plans = [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]
    document = {
        "features": [{"name": "f", "enabled": True, "strategies": [{"name": "default", "segments": [7]}]}],
        "segments": [{"id": 7, "name": "paying", "constraints": plans}],
    }
    assert call("POST", "/api/environments/production/import", kind="admin", json=document).status_code == 200
    listed = call("GET", "/api/environments/production/context-fields", kind="admin").get_json()["contextFields"]
    (found,) = [each for each in listed if "f" in each["flags"]]
    assert (found["name"], found["operators"], 7 in found["segments"]) == ("plan", ["IN"], True)
