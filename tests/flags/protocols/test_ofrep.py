"""OFREP: one flag and all flags, for providers of every language."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from flags.evaluation.bucketing import bucket
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation

Call = Callable[..., TestResponse]
ALL = "/ofrep/v1/evaluate/flags"
ONE = f"{ALL}/{FLAG}"


def question(user_id: str, **attributes: Any) -> dict[str, Any]:
    return {"context": {"targetingKey": user_id, **attributes}}


def test_a_flag_is_answered_with_its_reason(call: Call, installation: Installation) -> None:
    installation.users(UserAttributes("beta", "free", beta=True))
    installation.move(1)
    answer = call("POST", ONE, kind="client", json=question("beta"))
    assert answer.json == {
        "key": FLAG,
        "value": True,
        "variant": "on",
        "reason": "TARGETING_MATCH",
        "metadata": {"phase": "beta"},
    }
    assert call("POST", ONE, kind="client", json=question("other")).get_json()["value"] is False


def test_it_follows_the_rollout_to_its_rollback(call: Call, installation: Installation) -> None:
    inside = next(name for name in map(str, range(100)) if bucket(FLAG, name) <= 25)
    installation.move(3, 1)
    assert call("POST", ONE, kind="client", json=question(inside)).get_json()["reason"] == "SPLIT"
    installation.roll_back()
    answer = call("POST", ONE, kind="client", json=question(inside)).get_json()
    assert (answer["value"], answer["variant"], answer["reason"]) == (False, "off", "DISABLED")


def test_a_signup_date_may_be_written_in_any_usual_way(call: Call, installation: Installation) -> None:
    installation.move(2, 3)
    after = (CUTOVER + timedelta(days=2)).date().isoformat()
    token = {"X-API-Key": installation.token("client", trusted_attributes=["signupDate"])}
    assert call("POST", ONE, headers=token, json=question("7", signupDate=after)).get_json()["value"] is True


def test_a_user_is_asked_for_only_where_one_is_needed(call: Call, installation: Installation) -> None:
    assert call("POST", ONE, kind="client", json={"context": {}}).get_json()["value"] is False
    installation.move(3)
    bodies: tuple[dict[str, Any], ...] = ({}, {"context": None}, {"context": {}}, {"context": {"plan": "pro"}})
    for body in bodies:
        answer = call("POST", ONE, kind="client", json=body)
        assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "TARGETING_KEY_MISSING")
        assert answer.get_json()["errorDetails"]
    [flag] = call("POST", ALL, kind="client").get_json()["flags"]
    assert flag["errorCode"] == "TARGETING_KEY_MISSING"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"\xff", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b"7", "INVALID_CONTEXT"),
        (b'{"context": "me"}', "INVALID_CONTEXT"),
    ],
)
def test_a_body_that_cant_be_used_is_refused_with_a_code(call: Call, body: bytes, code: str) -> None:
    one, every = (call("POST", path, kind="client", data=body) for path in (ONE, ALL))
    assert (one.status_code, one.get_json()["errorCode"], one.get_json()["key"]) == (400, code, FLAG)
    assert (every.status_code, every.get_json()["errorCode"]) == (400, code)


@pytest.mark.parametrize("key", ["NOT_THERE", "a%20b", "a/b", "%F0%9F%98%80", "a%2Fb", "a%0Ab", "%0D%0A"])
def test_an_unknown_flag_is_not_found(call: Call, key: str) -> None:
    answer = call("POST", f"{ALL}/{key}", kind="client", json=question("7"))
    assert (answer.status_code, answer.get_json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert answer.get_json()["errorDetails"]


def test_all_flags_come_with_where_to_hear_of_changes(call: Call, installation: Installation) -> None:
    installation.move(3, 3)
    answer = call("POST", ALL, kind="frontend", json=question("7"))
    assert [flag["value"] for flag in answer.get_json()["flags"]] == [True]
    [stream] = answer.get_json()["eventStreams"]
    assert stream["type"] == "sse"
    assert stream["endpoint"]["requestUri"].startswith("/ofrep/v1/events?channel=")


def test_the_entity_tag_of_all_flags_is_that_of_the_values(call: Call, installation: Installation) -> None:
    installation.users(UserAttributes("new", "free", CUTOVER + timedelta(days=1)))
    installation.move(2, 3)
    new, other = (call("POST", ALL, kind="frontend", json=question(name)) for name in ("new", "other"))
    seen = {"If-None-Match": new.headers["ETag"]}
    assert new.headers["ETag"] != other.headers["ETag"]
    assert call("POST", ALL, kind="frontend", json=question("new"), headers=seen).status_code == 304
    assert call("POST", ALL, kind="frontend", json=question("other"), headers=seen).status_code == 200


def test_a_token_may_come_in_either_header_and_must_be_there(call: Call, installation: Installation) -> None:
    token = installation.token("frontend")
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}):
        assert call("POST", ONE, headers=headers, json=question("7")).status_code == 200
    assert call("POST", ONE, json=question("7")).status_code == 401


SHARES: dict[str, list[dict[str, Any]]] = {
    "by-user": [{"name": "flexibleRollout", "parameters": {"rollout": "50", "groupId": "x", "stickiness": "userId"}}],
    "listed": [{"name": "userWithId", "parameters": {"userIds": "ann"}}],
    "constrained": [
        {"name": "default", "constraints": [{"contextName": "userId", "operator": "IN", "values": ["ann"]}]}
    ],
    "segment": [{"name": "default", "segments": [3]}],
    "by-plan": [{"name": "default", "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}],
    "either": [{"name": "userWithId", "parameters": {"userIds": "ann"}}, {"name": "default"}],
    "off": [{"name": "userWithId", "parameters": {"userIds": "ann"}}],
}


@pytest.fixture
def imported(call: Call) -> None:
    """Imported flags that ask for the user's id, and some that don't."""
    features = [{"name": name, "enabled": name != "off", "strategies": each} for name, each in SHARES.items()]
    features += [
        {
            "name": f"after-{name}",
            "enabled": True,
            "strategies": [{"name": "default"}],
            "dependencies": [{"feature": name}],
        }
        for name in ("listed", "off")
    ]
    constraints = [{"contextName": "userId", "operator": "IN", "values": ["ann"]}]
    document = {"features": features, "segments": [{"id": 3, "name": "named", "constraints": constraints}]}
    assert call("POST", "/api/environments/production/import", kind="admin", json=document).get_json()["refused"] == []


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(
    ("key", "code"),
    [
        *dict.fromkeys(
            ("by-user", "listed", "constrained", "segment", "after-listed"), "TARGETING_KEY_MISSING"
        ).items(),
        *dict.fromkeys(("by-plan", "either", "off", "after-off"), None).items(),
    ],
)
def test_an_imported_flag_says_when_it_lacks_a_user(call: Call, key: str, code: str | None) -> None:
    answer = call("POST", f"/ofrep/v1/evaluate/flags/{key}", kind="client", json={"context": {"plan": "free"}})
    assert (answer.status_code, answer.get_json().get("errorCode")) == (400 if code else 200, code)
    everything = call("POST", "/ofrep/v1/evaluate/flags", kind="client", json={"context": {"plan": "free"}})
    (found,) = [each for each in everything.get_json()["flags"] if each["key"] == key]
    assert found.get("errorCode") == code
    known = call("POST", f"/ofrep/v1/evaluate/flags/{key}", kind="client", json={"context": {"targetingKey": "bob"}})
    assert known.status_code == 200


@pytest.mark.parametrize("key", [{}, {"id": 7}, [], ["7"], True])
def test_a_targeting_key_that_is_no_text_is_an_invalid_context(call: Call, key: object) -> None:
    for path in ("/ofrep/v1/evaluate/flags", f"/ofrep/v1/evaluate/flags/{FLAG}"):
        answer = call("POST", path, kind="client", json={"context": {"targetingKey": key}})
        assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "INVALID_CONTEXT")
