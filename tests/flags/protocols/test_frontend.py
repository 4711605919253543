"""Unleash's frontend API: what browsers ask and are told."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from flags.client_features.results import FlagResults, Toggles
from flags.evaluation.contexts import Context
from flags.evaluation.timestamps import format_timestamp
from flags.protocols.request_context import CONTEXT_BYTES_MAX
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation

Call = Callable[..., TestResponse]
PATH = "/api/frontend"
AFTER, BEFORE = CUTOVER + timedelta(days=1), CUTOVER - timedelta(days=1)


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [toggle["name"] for toggle in answer.get_json()["toggles"]]


def test_only_flags_that_are_on_are_told(call: Call, installation: Installation) -> None:
    assert names(call("GET", PATH, kind="frontend")) == []
    installation.move(3, 3)
    answer = call("GET", f"{PATH}?userId=7", kind="frontend")
    assert answer.get_json()["toggles"] == [
        {
            "name": FLAG,
            "enabled": True,
            "impressionData": False,
            "variant": {"name": "disabled", "enabled": False, "feature_enabled": True, "featureEnabled": True},
        }
    ]


@pytest.mark.parametrize("trusted", [[], ["signupDate"], ["*"]])
def test_a_browser_is_believed_only_what_its_token_is_trusted_for(
    call: Call, installation: Installation, app: Flask, trusted: list[str]
) -> None:
    installation.move(2, 3)
    installation.publish()
    token = installation.token("frontend", trusted_attributes=trusted)
    answer = app.test_client().get(
        PATH,
        query_string={"userId": "7", "properties[signupDate]": format_timestamp(AFTER)},
        headers={"Authorization": token},
    )
    assert names(answer) == ([FLAG] if trusted else [])


def test_a_user_id_is_enough_for_who_is_in_the_directory(call: Call, installation: Installation) -> None:
    installation.users(UserAttributes("new", "free", AFTER), UserAttributes("old", "free", BEFORE))
    installation.move(2, 3)
    assert names(call("GET", f"{PATH}?userId=new", kind="frontend")) == [FLAG]
    assert names(call("GET", f"{PATH}?userId=old", kind="frontend")) == []
    assert names(call("POST", PATH, kind="frontend", json={"context": {"userId": "new"}})) == [FLAG]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"context": {}}', b'{"context": {"properties": null, "x": [1]}}'])
def test_nobody_in_particular_may_ask(call: Call, installation: Installation, body: bytes) -> None:
    installation.move(3, 3)
    assert names(call("POST", PATH, kind="frontend", data=body, content_type="application/json")) == []


@pytest.mark.parametrize("body", [b"[]", b'{"context": 7}'])
def test_a_body_that_is_no_context_is_refused(call: Call, body: bytes) -> None:
    answer = call("POST", PATH, kind="frontend", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["details"][0]["path"]) == (400, "context")


def test_the_entity_tag_is_that_of_the_answer_not_of_the_flags(call: Call, installation: Installation) -> None:
    installation.users(UserAttributes("new", "free", AFTER))
    installation.move(2, 3)
    new, nobody = call("GET", f"{PATH}?userId=new", kind="frontend"), call("GET", PATH, kind="frontend")
    assert new.headers["ETag"] != nobody.headers["ETag"]
    seen = {"If-None-Match": new.headers["ETag"]}
    assert call("GET", f"{PATH}?userId=new", kind="frontend", headers=seen).status_code == 304
    assert call("GET", PATH, kind="frontend", headers=seen).status_code == 200


def test_pages_of_any_origin_may_ask(call: Call) -> None:
    origin = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    before = call("OPTIONS", PATH, headers=origin | asked)
    assert (before.status_code, before.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert before.headers["Access-Control-Allow-Headers"] == "authorization"
    assert before.headers["Access-Control-Max-Age"] == "86400"
    answer = call("POST", PATH, kind="frontend", headers=origin, json={})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    refused = call("GET", PATH, headers=origin)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")


def test_what_is_not_for_browsers_is_not_there(call: Call) -> None:
    assert call("GET", PATH, kind="client").status_code == 403
    assert call("GET", f"{PATH}/client/features", kind="frontend").status_code == 405
    assert call("GET", f"{PATH}/health", kind="frontend").status_code == 405
    assert call("GET", f"{PATH}/all", kind="frontend").status_code == 404


def test_browsers_report_and_are_told_ok(call: Call) -> None:
    said = {"appName": "shop", "instanceId": "browser", "bucket": {"toggles": {}}, "impactMetrics": []}
    for path in ("metrics", "register"):
        answer = call("POST", f"{PATH}/client/{path}", kind="frontend", json=said)
        assert (answer.status_code, answer.text) == (200, "OK")


def test_the_same_question_is_answered_without_evaluating_and_any_other_is_evaluated(
    call: Call, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.move(3, 3)
    evaluated: list[str | None] = []
    toggles = FlagResults.toggles

    def counted(self: FlagResults, context: Context, now: datetime) -> Toggles:
        evaluated.append(context.user_id)
        return toggles(self, context, now)

    monkeypatch.setattr(FlagResults, "toggles", counted)
    first = call("GET", f"{PATH}?userId=7", kind="frontend")
    known = {"If-None-Match": first.headers["ETag"]}
    again = call("GET", f"{PATH}?userId=7", kind="frontend", headers=known)
    assert (again.status_code, again.headers["ETag"], evaluated) == (304, first.headers["ETag"], ["7"])
    assert call("GET", f"{PATH}?userId=8", kind="frontend", headers=known).status_code == 304, "it has the same flags"
    assert evaluated == ["7", "8"]
    installation.roll_back()
    installation.publish()
    assert call("GET", f"{PATH}?userId=7", kind="frontend", headers=known).status_code == 200
    assert evaluated == ["7", "8", "7"]


def test_what_is_drawn_at_random_is_drawn_again(call: Call) -> None:
    half = {"rollout": "50", "stickiness": "random", "groupId": "half"}
    features = [
        {"name": f"half-{number}", "enabled": True, "strategies": [{"name": "flexibleRollout", "parameters": half}]}
        for number in range(40)
    ]
    path = "/api/environments/production/import"
    assert call("POST", path, kind="admin", json={"features": features}).status_code == 200
    first = call("GET", f"{PATH}?userId=7&sessionId=s", kind="frontend")
    known = {"If-None-Match": first.headers["ETag"]}
    assert call("GET", f"{PATH}?userId=7&sessionId=s", kind="frontend", headers=known).status_code == 200


@pytest.mark.parametrize(
    "properties", [{"where": "/" * 1500 + "pay"}, {**{f"p{n}": "" for n in range(150)}, "where": "pay"}]
)
def test_all_of_a_long_context_counts_as_it_does_to_an_sdk(call: Call, properties: dict[str, str]) -> None:
    ends = {"contextName": "where", "operator": "STR_ENDS_WITH", "values": ["pay"]}
    feature = {"name": "pay", "enabled": True, "strategies": [{"name": "default", "constraints": [ends]}]}
    taken = call("POST", "/api/environments/production/import", kind="admin", json={"features": [feature]})
    assert taken.status_code == 200, taken.text
    assert names(call("POST", PATH, kind="frontend", json={"context": {"properties": properties}})) == ["pay"]
    answer = call("POST", "/ofrep/v1/evaluate/flags/pay", kind="client", json={"context": properties})
    assert answer.get_json()["value"] is True


def test_a_context_of_more_than_unleash_takes_is_refused(call: Call) -> None:
    context = {"userId": "7", "properties": {"where": "x" * CONTEXT_BYTES_MAX}}
    assert call("POST", PATH, kind="frontend", json={"context": context}).status_code == 413
    for path in ("/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/pay"):
        answer = call("POST", path, kind="client", json={"context": context})
        assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "INVALID_CONTEXT")
