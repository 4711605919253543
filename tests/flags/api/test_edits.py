"""One flag: seen whole, changed by whoever saw it last, and found by its project, tags and name."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only

Call = Callable[..., TestResponse]
HERE = "/api/flags/look/environments/production"
WHY = {"reason": "A test."}
QUARTER = [{"name": "flexibleRollout", "parameters": {"rollout": "25", "groupId": "look", "stickiness": "userId"}}]


@pytest.fixture
def flag_detail(call: Call) -> Mapping[str, Any]:
    """A flag that is on in production and off in staging, as its detail has it."""
    call("POST", "/api/flags", kind="admin", json={"name": "look", "environments": {"production": True, "qa": False}})
    detail: Mapping[str, Any] = call("GET", "/api/flags/look", kind="admin").get_json()
    return detail


def edit(call: Call, version: int = 1, path: str = HERE, **fields: Any) -> TestResponse:
    return call("PATCH", path, kind="admin", json={"version": version, **WHY, **fields})


def on(call: Call, user: str = "7") -> bool:
    answer = call("POST", "/ofrep/v1/evaluate/flags/look", kind="client", json={"context": {"targetingKey": user}})
    return bool(answer.get_json()["value"])


def test_a_flag_is_seen_with_all_that_decides_who_has_it(flag_detail: Mapping[str, Any]) -> None:
    production = flag_detail["environments"]["production"]
    assert (flag_detail["rollout"], flag_detail["project"], flag_detail["stale"], flag_detail["tags"]) == (
        False,
        "default",
        False,
        [],
    )
    assert (production["version"], production["enabled"], production["strategies"][0]["name"]) == (1, True, "default")
    assert flag_detail["environments"]["qa"]["enabled"] is False


def test_a_flag_under_a_rollout_says_so_and_an_unknown_one_is_404(call: Call) -> None:
    assert call("GET", f"/api/flags/{FLAG}", kind="admin").json == {"name": FLAG, "rollout": True}
    answer = call("GET", "/api/flags/nope", kind="admin")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "FLAG_NOT_FOUND")


def test_an_edit_changes_what_it_names_and_reaches_who_asks(
    call: Call, app: Flask, flag_detail: Mapping[str, Any]
) -> None:
    only = [{"name": "userWithId", "parameters": {"userIds": "7"}}]
    answer = edit(call, strategies=only)
    assert (answer.status_code, answer.get_json()["environments"]["production"]["version"]) == (200, 2)
    assert answer.get_json()["environments"]["qa"]["version"] == 1
    assert (on(call, "7"), on(call, "8")) == (True, False)
    with app.app_context(), read_only() as session:
        (entry, *_) = audit.latest(session, subject="flag:look")
    assert entry.before is not None
    assert entry.after is not None
    before: Any = entry.before["production"]
    after: Any = entry.after["production"]
    assert before["strategies"][0]["name"] == "default"
    assert after["strategies"][0]["name"] == "userWithId"
    assert (
        edit(call, 2, enabled=False).get_json()["environments"]["production"]["strategies"][0]["name"] == "userWithId"
    )


def test_of_two_who_saw_the_same_version_the_second_is_told(call: Call, flag_detail: Mapping[str, Any]) -> None:
    assert edit(call, strategies=QUARTER).status_code == 200
    answer = edit(call, enabled=False)
    assert (answer.status_code, answer.get_json()["code"], answer.get_json()["version"]) == (409, "VERSION_CONFLICT", 2)
    assert "You saw version 1" in answer.get_json()["detail"]


def test_a_switch_and_an_import_count_as_changes_too(call: Call, flag_detail: Mapping[str, Any]) -> None:
    call("PUT", HERE, kind="admin", json={"enabled": False, **WHY})
    assert edit(call, 1, enabled=True).status_code == 409
    call(
        "POST",
        "/api/environments/production/import",
        kind="admin",
        json={"features": [{"name": "look", "enabled": True}]},
    )
    assert edit(call, 2, enabled=True).status_code == 409
    assert edit(call, 3, enabled=True).status_code == 200


def test_many_at_once_change_it_once(
    app: Flask, make_token: Callable[..., str], flag_detail: Mapping[str, Any]
) -> None:
    headers, body = {"Authorization": f"Bearer {make_token('admin')}"}, {"version": 1, **WHY, "strategies": QUARTER}
    with ThreadPoolExecutor(8) as threads:
        found = list(
            threads.map(lambda _: app.test_client().patch(HERE, json=body, headers=headers).status_code, range(8))
        )
    assert sorted(found) == [200] + [409] * 7


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"strategies": [{"name": "ours"}]}, 400, "INVALID_DEFINITION"),
        ({"strategies": [{"name": "flexibleRollout", "parameters": {"rollout": "12.5"}}]}, 400, "INVALID_DEFINITION"),
        ({"strategies": "all"}, 422, "INVALID_BODY"),
        ({"name": "other"}, 422, "INVALID_BODY"),
        ({"version": -1}, 422, "INVALID_BODY"),
        ({"version": 2**63}, 422, "INVALID_BODY"),
        ({"reason": ""}, 422, "INVALID_BODY"),
    ],
)
def test_what_can_not_be_taken_is_refused_and_changes_nothing(
    call: Call, flag_detail: Mapping[str, Any], fields: Any, status: int, code: str
) -> None:
    answer = edit(call, **fields)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert call("GET", "/api/flags/look", kind="admin").json == flag_detail


def test_a_repair_that_moves_users_takes_a_yes(call: Call, flag_detail: Mapping[str, Any]) -> None:
    variants = [{"name": "blue", "weight": 1000, "stickiness": "sessionId"}]
    strategies = [QUARTER[0] | {"variants": variants}]
    answer = edit(call, strategies=strategies)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "USERS_WOULD_MOVE")
    confirmed = edit(call, strategies=strategies, confirmMoving=True)
    assert (confirmed.status_code, len(confirmed.get_json()["repairs"])) == (200, 1)


def test_what_an_edit_spells_in_another_way_takes_no_yes_because_no_sdk_had_it(
    call: Call, flag_detail: Mapping[str, Any]
) -> None:
    digits = {"contextName": "email", "operator": "REGEX", "value": r"\d"}
    strategy = {"name": "flexibleRollout", "parameters": {"rollout": 50}, "constraints": [digits]}
    answer = edit(call, strategies=[strategy])
    assert (answer.status_code, len(answer.get_json()["repairs"])) == (200, 3)


def test_a_flag_is_added_to_an_environment_and_removed_from_it(call: Call, flag_detail: Mapping[str, Any]) -> None:
    there = "/api/flags/look/environments/staging"
    assert edit(call, 1, there).status_code == 404, "there is no version 1 of it"
    added = edit(call, 0, there, enabled=True, strategies=QUARTER)
    assert added.get_json()["environments"]["staging"]["version"] == 1
    assert edit(call, 0, there).status_code == 409, "it is there by now"
    wrong = call("DELETE", there, kind="admin", json={"version": 9, **WHY})
    assert (wrong.status_code, wrong.get_json()["code"]) == (409, "VERSION_CONFLICT")
    assert call("DELETE", there, kind="admin", json={"version": 1, **WHY}).status_code == 204
    assert call("GET", "/api/flags/look", kind="admin").get_json()["environments"].keys() == {"production", "qa"}
    assert edit(call, 0, "/api/flags/look/environments/a%20b").get_json()["code"] == "INVALID_ENVIRONMENT"


def test_what_is_the_same_everywhere_is_changed_everywhere(call: Call, flag_detail: Mapping[str, Any]) -> None:
    body = {
        "versions": {"production": 1, "qa": 1},
        **WHY,
        "stale": True,
        "project": "shop",
        "tags": ["team:web", "old"],
    }
    answer = call("PATCH", "/api/flags/look", kind="admin", json=body)
    assert (answer.get_json()["stale"], answer.get_json()["project"], answer.get_json()["tags"]) == (
        True,
        "shop",
        ["simple:old", "team:web"],
    )
    assert {each["version"] for each in answer.get_json()["environments"].values()} == {2}
    again = call("PATCH", "/api/flags/look", kind="admin", json=body)
    assert (again.status_code, again.get_json()["code"]) == (409, "VERSION_CONFLICT")
    (feature,) = [
        each
        for each in call("GET", "/api/client/features", kind="client").get_json()["features"]
        if each["name"] == "look"
    ]
    assert (feature["stale"], feature["project"]) == (True, "shop")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {FLAG, "look", "other"}),
        ("project=shop", {"look"}),
        ("project=nope", set()),
        ("namePrefix=lo", {"look"}),
        ("tag=team:web", {"look"}),
        ("tag=old", {"look"}),
        ("tag=simple:new", set()),
        ("stale=true", {"look"}),
        ("stale=false", {FLAG, "other"}),
        ("q=OTH", {"other"}),
    ],
)
def test_flags_are_found_by_what_they_have(
    call: Call, flag_detail: Mapping[str, Any], query: str, found: set[str]
) -> None:
    body = {
        "versions": {"production": 1, "qa": 1},
        **WHY,
        "stale": True,
        "project": "shop",
        "tags": ["team:web", "old"],
    }
    call("PATCH", "/api/flags/look", kind="admin", json=body)
    call("POST", "/api/flags", kind="admin", json={"name": "other", "environments": {"qa": True}})
    listed = call("GET", f"/api/flags?{query}", kind="admin").get_json()["flags"]
    assert {each["name"] for each in listed} == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("project=shop", ["look"]),
        ("project=default&project=shop", [FLAG, "look"]),
        ("project=nope", []),
        ("tag=team:web", ["look"]),
        ("tag=team:web&tag=simple:nope", ["look"]),
        ("tag=simple:nope", []),
        ("namePrefix=lo&tag=team:web", ["look"]),
        ("namePrefix=x&tag=team:web", []),
    ],
)
def test_sdks_may_ask_for_some_of_them(
    call: Call, flag_detail: Mapping[str, Any], query: str, found: list[str]
) -> None:
    body = {"versions": {"production": 1, "qa": 1}, **WHY, "project": "shop", "tags": ["team:web"]}
    call("PATCH", "/api/flags/look", kind="admin", json=body)
    answer = call("GET", f"/api/client/features?{query}", kind="client")
    assert [each["name"] for each in answer.get_json()["features"]] == found
    again = call(
        "GET", f"/api/client/features?{query}", kind="client", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304
    whole = call("GET", "/api/client/features", kind="client", headers={"If-None-Match": answer.headers["ETag"]})
    assert whole.status_code == 200, "a tag names what was asked for as well"


def test_every_project_is_no_filter(call: Call, flag_detail: Mapping[str, Any]) -> None:
    answer = call("GET", "/api/client/features?project=*", kind="client")
    assert [each["name"] for each in answer.get_json()["features"]] == [FLAG, "look"]


def test_a_tag_that_is_none_is_refused_as_unleash_does(call: Call) -> None:
    assert call("GET", "/api/client/features?tag=bad", kind="client").status_code == 400


def test_environments_are_listed_with_what_they_have(call: Call, flag_detail: Mapping[str, Any]) -> None:
    found = {each["name"]: each for each in call("GET", "/api/environments", kind="admin").get_json()["environments"]}
    assert found["production"] == {"name": "production", "flags": 1, "segments": 0, "here": True}
    assert found["qa"]["here"] is False


def test_operators_look_and_owners_change(
    sign_in: Callable[[str], FlaskClient], flag_detail: Mapping[str, Any]
) -> None:
    olga, victor = sign_in("olga"), sign_in("victor")
    assert victor.get("/api/flags/look").status_code == 200
    assert olga.patch(HERE, json={"version": 1, **WHY, "enabled": False}).status_code == 403
    assert olga.patch("/api/flags/look", json={"versions": {}, **WHY}).status_code == 403


def test_a_mistake_is_named_by_its_place_in_the_flag(call: Call, flag_detail: Mapping[str, Any]) -> None:
    problem = edit(call, strategies=[{"name": "default"}, {"name": "mine"}]).get_json()
    assert [each["field"] for each in problem["errors"]] == ["strategies[1].name"]
    assert problem["detail"].startswith("It can't be taken. strategies[1].name: SDKs forget custom strategies")
