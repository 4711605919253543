"""Why somebody has a flag that no rollout moves: switched by hand, or defined in Unleash's own words."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flags.evaluation.bucketing import bucket
from flags.store import UserAttributes
from tests.installation import Installation

Call = Callable[..., TestResponse]

FEATURE: dict[str, Any] = {
    "name": "search",
    "enabled": True,
    "strategies": [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": "40", "stickiness": "userId", "groupId": "search"},
            "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro", "team"]}],
        },
        {"name": "userWithId", "parameters": {"userIds": "boss"}},
    ],
}
INSIDE = next(name for name in map("user-{}".format, range(100)) if bucket("search", name) <= 40)
OUTSIDE = next(name for name in map("user-{}".format, range(100)) if bucket("search", name) > 40)


@pytest.fixture
def explained(call: Call, installation: Installation) -> Callable[..., dict[str, Any]]:
    """`explained("search", "ann")` is the explanation, after one flag was made and one imported."""
    made = call("POST", "/api/flags", kind="admin", json={"name": "lights", "environments": {"production": True}})
    assert made.status_code == 201, made.text
    imported = call("POST", "/api/environments/production/import", kind="admin", json={"features": [FEATURE]})
    assert imported.status_code == 200, imported.text
    installation.users(UserAttributes(INSIDE, "pro"), UserAttributes(OUTSIDE, "pro"), UserAttributes("cheap", "free"))

    def explained(flag: str, user: str, query: str = "") -> dict[str, Any]:
        answer = call("GET", f"/api/flags/{flag}/explain?userId={user}{query}", kind="admin")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.get_json()
        return document

    return explained


def sentences(document: dict[str, Any]) -> list[str]:
    return [step["sentence"] for step in document["trace"]]


def test_a_switched_flag_says_that_it_is_on_for_everybody(explained: Callable[..., dict[str, Any]], call: Call) -> None:
    found = explained("lights", "ann")
    assert (found["value"], found["variant"], found["reason"], found["bucket"]) == (True, "on", "STATIC", None)
    assert sentences(found) == ["The flag is switched on in production.", "Strategy 1, default, lets this user in."]
    body = {"enabled": False, "reason": "-"}
    assert call("PUT", "/api/flags/lights/environments/production", kind="admin", json=body).status_code == 200
    found = explained("lights", "ann")
    assert (found["value"], found["reason"]) == (False, "DISABLED")
    assert found["detail"] == "The flag is switched off in production."
    assert not found["next"]["changes"]


def test_an_imported_flag_names_strategy_constraint_and_bucket(explained: Callable[..., dict[str, Any]]) -> None:
    inside = explained("search", INSIDE)
    assert (inside["value"], inside["reason"], inside["bucket"]) == (True, "SPLIT", bucket("search", INSIDE))
    assert inside["entersAt"] == {"audience": "strategy 1", "percentage": inside["bucket"]}
    assert sentences(inside)[1:] == [
        "Strategy 1 asks whether plan is one of “pro”, “team”: yes. Here it is “pro”.",
        "Strategy 1, flexibleRollout of 40 %, lets this user in.",
    ]
    outside = explained("search", OUTSIDE)
    assert (outside["value"], outside["reason"]) == (False, "DEFAULT")
    assert [step["outcome"] for step in outside["trace"]] == ["passed", "matched", "passed", "passed", "decided"]
    assert outside["detail"] == "No strategy of the flag lets this user in."
    assert explained("search", "boss")["trace"][-1]["sentence"] == "Strategy 2, userWithId, lets this user in."


def test_whoever_is_no_candidate_enters_by_no_share(explained: Callable[..., dict[str, Any]]) -> None:
    found = explained("search", "cheap")
    assert (found["value"], found["bucket"]) == (False, None)
    assert found["entersAt"] == {"audience": None, "percentage": None}
    assert sentences(found)[1].endswith("no. Here it is “free”.")


def test_what_is_supposed_outweighs_the_directory(explained: Callable[..., dict[str, Any]]) -> None:
    assert explained("search", INSIDE, "&properties[plan]=free")["value"] is False
    stranger = explained("search", "nobody-knows-me")
    assert "Nothing is known of it here." in sentences(stranger)[1]


def test_many_are_explained_at_once(explained: Callable[..., dict[str, Any]], call: Call) -> None:
    answer = call("POST", "/api/flags/search/explain", kind="admin", json={"userIds": [INSIDE, OUTSIDE, INSIDE]})
    assert [each["value"] for each in answer.get_json()["explanations"]] == [True, False, True]


def test_a_flag_that_nobody_made_is_not_explained(call: Call) -> None:
    for query in ("", "&environment=staging", "&environment=../../etc"):
        answer = call("GET", f"/api/flags/NOT_THERE/explain?userId=7{query}", kind="admin")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "FLAG_NOT_FOUND")


def test_a_text_that_sdks_read_differently_is_said_beside_its_condition(call: Call, explained: Any) -> None:
    above = {"contextName": "age", "operator": "NUM_GT", "value": "5"}
    segment = {
        "id": 5,
        "name": "near",
        "constraints": [{"contextName": "ip", "operator": "IN_CIDR", "values": ["::/0"]}],
    }
    strategy = {"name": "default", "constraints": [above], "segments": [5]}
    body = {"features": [{"name": "grown-up", "enabled": True, "strategies": [strategy]}], "segments": [segment]}
    assert call("POST", "/api/environments/production/import", kind="admin", json=body).status_code == 200
    _, of_age, of_segment, _, _ = sentences(
        explained("grown-up", "ann", "&properties[age]=0x10&properties[ip]=::1/128")
    )
    assert of_age.endswith("SDKs differ on whether that is a number.")
    assert of_segment.endswith("SDKs differ on an address with a length or a zone.")
    assert "differ" not in " ".join(sentences(explained("grown-up", "ann", "&properties[age]=16&properties[ip]=::1")))
