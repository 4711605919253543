"""Requests that nobody should send, made up from our own description of the API: none breaks or changes anything."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane.phases import FLAG
from control_plane.platform.database import reading
from flags.administration.definitions import export_definitions
from tests.office import Office

WIRE = ("/api/client", "/api/frontend", "/ofrep", "/edge", "/openapi")
OURS = (*WIRE, "/api/flags", "/api/environments", "/api/users", "/api/tokens", "/api/connections", "/api/measurements")
ENDLESS = ("/api/client/streaming", "/ofrep/v1/events")
KINDS = {"/api/client": "client", "/api/frontend": "frontend", "/ofrep": "client"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FEW = 6


@pytest.fixture
def office(app: Flask) -> Office:
    """An installation whose rollout has reached some, and which has a flag of its own."""
    office = Office(app)
    office.plan()
    office.watch()
    office.move(3, 1)
    office.publish()
    return office


@pytest.fixture
def fuzz(app: Flask, office: Office) -> Callable[..., int]:
    """`fuzz(prefixes, 10)` sends ten requests of each sort to each operation; gives how many."""
    schema = schemathesis.openapi.from_wsgi("/openapi/openapi.json", app)
    tokens = {prefix: office.token(kind, trusted_attributes=["*"]) for prefix, kind in KINDS.items()}
    admin = office.token("admin")

    def fuzz(prefixes: tuple[str, ...], examples: int) -> int:
        sent = 0
        for operation in _operations(schema, prefixes):
            token = next((text for prefix, text in tokens.items() if operation.path.startswith(prefix)), admin)
            sent += sum(_send(operation, mode, token, examples) for mode in _modes(operation))
        return sent

    return fuzz


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("each", "total"), [(FEW, 100), pytest.param(500, 10_000, marks=pytest.mark.long)])
def test_nothing_sent_to_the_wire_breaks_or_changes_anything(
    fuzz: Callable[..., int], app: Flask, office: Office, each: int, total: int
) -> None:
    before = _truth(app, office)
    assert fuzz(WIRE, each) >= total
    assert _truth(app, office) == before


@pytest.mark.database("sqlite")
def test_nothing_sent_to_the_administration_breaks_it(fuzz: Callable[..., int], app: Flask, office: Office) -> None:
    assert fuzz(OURS[len(WIRE) :], FEW) > 0
    assert _truth(app, office)["rollout"] is True


def _operations(schema: Any, prefixes: tuple[str, ...]) -> Iterator[APIOperation]:
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(prefixes) and operation.path not in ENDLESS:
            yield operation


def _modes(operation: APIOperation) -> Iterator[GenerationMode]:
    yield GenerationMode.POSITIVE
    if operation.body or operation.query:  # else nothing can be wrong with it
        yield GenerationMode.NEGATIVE


def _send(operation: APIOperation, mode: GenerationMode, token: str, examples: int) -> int:
    sent = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        nonlocal sent
        sent += 1
        response = case.call(headers={"Authorization": token})
        case.validate_response(response, checks=CHECKS)

    send()
    return sent


def _truth(app: Flask, office: Office) -> dict[str, Any]:
    """What the installation gives SDKs, and whether its rollout still lets in whom it should."""
    office.publish()
    headers = {"Authorization": office.token("client"), "Unleash-Client-Spec": "6.1.0"}
    payload = app.test_client().get("/api/client/features", headers=headers).json
    with app.app_context(), reading() as session:
        kept = export_definitions(session, "production")
    [feature] = [each for each in payload["features"] if each["name"] == FLAG]
    return {"payload": payload, "kept": kept, "rollout": feature["enabled"]}
