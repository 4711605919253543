"""What a request has to say: a reason, and tags as they are written."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]
HERE = "/api/flags/look/environments/production"
WHY = {"reason": "A test."}


@pytest.fixture
def flag_detail(call: Call) -> Mapping[str, Any]:
    """A flag that is on in production, as its detail has it."""
    call("POST", "/api/flags", kind="admin", json={"name": "look", "environments": {"production": True, "qa": False}})
    detail: Mapping[str, Any] = call("GET", "/api/flags/look", kind="admin").get_json()
    return detail


def edit(call: Call, version: int = 1, **fields: Any) -> TestResponse:
    return call("PATCH", HERE, kind="admin", json={"version": version, **WHY, **fields})


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
def test_a_reason_of_blanks_is_none(call: Call, flag_detail: Mapping[str, Any], blank: str) -> None:
    assert edit(call, enabled=False, reason=blank).status_code == 422
    assert call("PUT", HERE, kind="admin", json={"enabled": False, "reason": blank}).status_code == 422
    assert edit(call, enabled=False).status_code == 200


def test_the_tags_that_an_import_brought_may_be_kept_beside_a_new_one(call: Call) -> None:
    tags = [("simple", "x:y"), ("Team-A", "v" * 200), ("simple", "two words")]
    document = {
        "features": [{"name": "tagged", "enabled": True}],
        "featureStrategies": [{"featureName": "tagged", "name": "default"}],
        "featureTags": [{"featureName": "tagged", "tagType": kind, "tagValue": value} for kind, value in tags],
    }
    assert call("POST", "/api/environments/production/import", kind="admin", json=document).status_code == 200
    found = call("GET", "/api/flags/tagged", kind="admin").get_json()["tags"]
    assert sorted(found) == sorted(f"{kind}:{value}" for kind, value in tags)
    body = {"versions": {"production": 1}, **WHY, "tags": [*found, "new"]}
    answer = call("PATCH", "/api/flags/tagged", kind="admin", json=body)
    assert (answer.status_code, len(answer.get_json()["tags"])) == (200, 4)


@pytest.mark.parametrize("tag", ["", " x", ":x", "a b:c", "x" * 256, "x\ny"])
def test_a_tag_that_is_none_is_refused_in_a_sentence(call: Call, flag_detail: Mapping[str, Any], tag: str) -> None:
    body = {"versions": {"production": 1, "qa": 1}, **WHY, "tags": [tag]}
    answer = call("PATCH", "/api/flags/look", kind="admin", json=body)
    assert answer.status_code == 422
    assert "such as simple:checkout" in answer.get_json()["detail"]
