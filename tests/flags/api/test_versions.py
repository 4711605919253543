"""Versions of a flag: whoever saw one that is over changes nothing, though a flag of that name came back."""

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


def edit(call: Call, version: int, **fields: Any) -> TestResponse:
    return call("PATCH", HERE, kind="admin", json={"version": version, **WHY, **fields})


@pytest.mark.parametrize("way", ["environment", "everywhere", "replace", "replace without it"])
def test_a_version_of_a_flag_that_was_removed_is_none_of_the_one_that_came_after(
    call: Call, flag_detail: Mapping[str, Any], way: str
) -> None:
    seen = flag_detail["environments"]["production"]["version"]
    feature = {"name": "look", "enabled": False, "strategies": [{"name": "default"}]}
    replace = "/api/environments/production/import?replace=true"
    match way:
        case "environment":
            assert call("DELETE", HERE, kind="admin", json={"version": seen, **WHY}).status_code == 204
            assert edit(call, 0, enabled=False).status_code == 200
        case "everywhere":
            assert call("DELETE", "/api/flags/look", kind="admin", json=WHY).status_code == 204
            made = {"name": "look", "environments": {"production": False}}
            assert call("POST", "/api/flags", kind="admin", json=made).status_code == 201
        case "replace without it":
            others = {"features": [{**feature, "name": "other"}]}
            assert call("POST", replace, kind="admin", json=others).status_code == 200
    if way.startswith("replace"):
        assert call("POST", replace, kind="admin", json={"features": [feature]}).status_code == 200
    answer = edit(call, seen, enabled=True)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "VERSION_CONFLICT")


def test_a_flag_that_is_restored_begins_as_a_version_that_nobody_saw(
    call: Call, flag_detail: Mapping[str, Any]
) -> None:
    (made,) = call("GET", "/api/flags/look/versions", kind="admin").get_json()["versions"]
    assert call("DELETE", "/api/flags/look", kind="admin", json=WHY).status_code == 204
    wanted = {"entry": made["entry"], **WHY}
    assert call("POST", "/api/flags/look/restore", kind="admin", json=wanted).status_code == 200
    assert edit(call, flag_detail["environments"]["production"]["version"]).status_code == 409
