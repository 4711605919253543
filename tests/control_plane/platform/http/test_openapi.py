"""The description of the API is complete: nothing can be mounted without being in it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from control_plane.platform.http.openapi import PREFIXES

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def description(app: Flask) -> dict[str, Any]:
    """Return the description that is served to anybody."""
    answer = app.test_client().get("/openapi/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_route_for_programs_is_in_it(app: Flask, description: dict[str, Any]) -> None:
    mounted = {
        (re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(PREFIXES)
    }
    assert {(path, method) for path, methods in description["paths"].items() for method in methods} == mounted


def test_every_operation_says_what_it_does_and_what_it_needs(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        assert operation["summary"].endswith("."), f"{name} needs a docstring of one sentence first"
        path_parameters = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert path_parameters == set(re.findall(r"{([^}]+)}", name)), name
        assert "default" in operation["responses"], name


def test_every_operation_describes_what_it_takes_and_what_it_answers(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    for name, operation in operations(description):
        if name.startswith(("post ", "put ", "patch ")):
            assert _fields(operation["requestBody"]["content"], schemas), f"{name} does not say what it takes"
        answers = {status: answer for status, answer in operation["responses"].items() if status[0] in "23"}
        assert answers, f"{name} does not say how it answers"
        for status, answer in answers.items():
            assert status in ("202", "204", "304") or _fields(answer["content"], schemas), f"{name}: {status} is bare"


def _fields(contents: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Return whether each content is a model with fields or of any, or no JSON at all."""
    found = [schemas.get(content["schema"].get("$ref", "").rpartition("/")[2]) for content in contents.values()]
    plain = [media for media in contents if media != "application/json"]
    models = [model for model in found if model is not None]
    return len(models) + len(plain) == len(contents) and all(
        model.get("properties") or model.get("additionalProperties") for model in models
    )


def test_every_operation_has_a_name_of_its_own(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(description)):
        assert name in schemas


def test_what_a_view_takes_is_described_with_its_fields(description: dict[str, Any]) -> None:
    operation = description["paths"]["/api/flags/{flag}/overrides/allow/{user_id}"]["put"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = description["components"]["schemas"][reference.rpartition("/")[2]]
    assert (schema["required"], set(schema["properties"])) == (["reason"], {"reason", "expiresAt"})
