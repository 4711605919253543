"""Requests that nobody should send, made up from the descriptions of the API and of OFREP: none breaks anything."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jwt
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples_of
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane import rollouts
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.settings import SETTINGS, Settings
from credits_engine.reconciliation.journal import reconcile
from flags.administration.definitions import export_definitions
from flags.store import UserAttributes
from tests.faults import ofrep
from tests.installation import Installation

pytestmark = pytest.mark.faults

WIRE = ("/api/client", "/api/frontend", "/ofrep", "/edge", "/openapi")
EVERYTHING = ("/",)
ENDLESS = ("/api/client/streaming", "/ofrep/v1/events")
KINDS = {
    "/api/client": "client",
    "/api/frontend": "frontend",
    "/ofrep": "client",
    "/api/credits": "service",
    "/api/signals": "service",
    "/api/experiments": "service",
    "/webhooks/alertmanager": "service",
}
PRODUCT_USERS = "/api/user/"
THERE = {"flag": FLAG, "name": FLAG, "key": FLAG, "user_id": "ann", "environment": "production", "attempt": 1}
"""What a path may name that exists, so that more is tried than what is not found."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
Fuzz = Callable[..., int]
Modes = tuple[GenerationMode, ...]
AnyOperation = APIOperation[Any, Any, Any, Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which no route lacks anything."""
    return replace(settings, stripe_webhook_secrets=("whsec_of_the_tests",))


@pytest.fixture
def installation(app: Flask) -> Installation:
    """An installation whose rollout has reached some, and which has a flag of its own."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.move(3, 1)
    installation.publish()
    return installation


@pytest.fixture
def fuzz(app: Flask, installation: Installation) -> Fuzz:
    """`fuzz(prefixes, 10)` sends ten requests of each sort to each operation; gives how many."""
    installation.users(UserAttributes("ann", "pro"))
    ours = schemathesis.openapi.from_wsgi("/openapi/openapi.json", app)
    tokens = {prefix: installation.token(kind, trusted_attributes=["*"]) for prefix, kind in KINDS.items()}
    tokens |= {PRODUCT_USERS: f"Bearer {jwt.encode({'sub': 'ann'}, SETTINGS.get(app).user_jwt_secret)}"}
    admin = installation.token("admin")

    def fuzz(
        prefixes: tuple[str, ...],
        examples: int,
        *,
        modes: Modes = BOTH,
        document: Any = None,
        named: Mapping[str, object] = MappingProxyType({}),
    ) -> int:
        sent = 0
        schema = ours if document is None else schemathesis.openapi.from_dict(document)
        schema.app = app
        for operation in _operations(schema, prefixes):
            token = next((text for prefix, text in tokens.items() if operation.path.startswith(prefix)), admin)
            sent += sum(_send(operation, mode, token, examples, named) for mode in _modes(operation, modes))
        return sent

    return fuzz


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("each", "total"), [(6, 100), pytest.param(250, 5_000, marks=pytest.mark.long)])
def test_nothing_sent_to_the_wire_breaks_or_changes_anything(
    fuzz: Fuzz, app: Flask, installation: Installation, each: int, total: int
) -> None:
    before = _state(app, installation)
    assert fuzz(WIRE, each) >= total
    assert _state(app, installation) == before


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("each", "total"), [(2, 100), pytest.param(220, 10_000, marks=pytest.mark.long)])
def test_nothing_malformed_sent_anywhere_breaks_or_changes_anything(
    fuzz: Fuzz, app: Flask, installation: Installation, each: int, total: int
) -> None:
    before = _state(app, installation)
    assert fuzz(EVERYTHING, each, modes=(GenerationMode.NEGATIVE,)) >= total
    assert _state(app, installation) == before


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("each", "total"), [(20, 60), pytest.param(2_500, 10_000, marks=pytest.mark.long)])
def test_what_the_protocol_itself_allows_is_answered_in_its_words(
    fuzz: Fuzz, app: Flask, installation: Installation, each: int, total: int
) -> None:
    before = _state(app, installation)
    assert fuzz(EVERYTHING, each, document=ofrep.DOCUMENT) >= total
    assert _state(app, installation) == before


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("named", [{}, THERE], ids=["strangers", "what is there"])
@pytest.mark.parametrize("each", [2, pytest.param(50, marks=pytest.mark.long)])
def test_nothing_well_formed_breaks_it(
    fuzz: Fuzz, app: Flask, installation: Installation, each: int, named: Mapping[str, object]
) -> None:
    assert fuzz(EVERYTHING, each, modes=(GenerationMode.POSITIVE,), named=named) > 0
    with app.app_context(), read_only() as session:
        assert audit.verify(session).intact
        assert reconcile(session).clean


def _operations(schema: Any, prefixes: tuple[str, ...]) -> Iterator[AnyOperation]:
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(prefixes) and operation.path not in ENDLESS:
            yield operation


def _modes(operation: AnyOperation, wanted: Modes) -> Iterator[GenerationMode]:
    can_be_wrong = bool(operation.body or operation.query)
    yield from (mode for mode in wanted if mode is GenerationMode.POSITIVE or can_be_wrong)


def _send(operation: AnyOperation, mode: GenerationMode, token: str, examples: int, named: Mapping[str, object]) -> int:
    sent = 0

    @examples_of(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[AnyOperation]) -> None:
        nonlocal sent
        sent += 1
        case.path_parameters.update({name: there for name, there in named.items() if name in case.path_parameters})
        response = case.call(headers={"Authorization": token})
        case.validate_response(response, checks=CHECKS)

    send()
    return sent


def _state(app: Flask, installation: Installation) -> dict[str, Any]:
    """Return what the installation gives SDKs, and whether its rollout still lets in whom it should."""
    installation.publish()
    headers = {"Authorization": installation.token("client"), "Unleash-Client-Spec": "6.1.0"}
    payload = app.test_client().get("/api/client/features", headers=headers).json
    with app.app_context(), read_only() as session:
        kept = export_definitions(session, "production")
        rollout = rollouts.summary(rollouts.find(session, FLAG))
        assert audit.verify(session).intact
        assert reconcile(session).clean
    return {"payload": payload, "kept": kept, "rollout": rollout}
