from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.db.keyed_semaphore import KeyedSemaphore
from control_plane.platform.observability import signals
from control_plane.platform.settings import Settings
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.operations import execution
from credits_engine.operations.consumption import Engines
from tests.applications import application
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW, consume_by

REQUEST = {"userId": "ada", "creditType": "analysis", "amount": 3}


class Service:
    """A service of the product with its token, and users of the product with theirs."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.client: FlaskClient = app.test_client()
        self.secret = settings.user_jwt_secret
        with transaction() as session:
            new = tokens.NewToken("meter", "service", environment=settings.environment)
            token = tokens.create_token(session, new, now=datetime.now(UTC))
        self.headers = {"Authorization": f"Bearer {token}"}

    def consume(self, body: Any = None, key: str | None = "k1", **changes: object) -> TestResponse:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        sent = REQUEST | changes if body is None else body
        return self.client.post("/api/credits/consume", json=sent, headers=headers)

    def status(self, user_id: str, claims: Mapping[str, Any] | None = None, secret: str | None = None) -> TestResponse:
        expires = datetime.now(UTC) + timedelta(minutes=5)
        token = jwt.encode({"sub": user_id, "exp": expires, **(claims or {})}, secret or self.secret, "HS256")
        return self.client.get("/api/user/credits/status", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def service(consumer: Consumer, settings: Settings) -> Service:
    consumer.user("ada")
    return Service(consumer.app, settings)


def data(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    envelope = response.get_json()
    assert envelope["success"] is True
    found: dict[str, Any] = envelope["data"]
    return found


def test_a_service_consumes_and_gets_a_receipt(service: Service) -> None:
    response = service.consume()
    assert response.status_code == 200, response.text
    receipt = response.get_json()
    assert receipt["charged"] == {"analysis": 3, "roast": 0}
    assert receipt["remaining"] == {"analysis": 97, "roast": 50}
    assert (receipt["engine"], receipt["fallback"], receipt["creditsV2Enabled"]) == ("legacy", True, False)
    assert "Idempotent-Replayed" not in response.headers


def test_a_retry_gets_the_same_receipt_and_says_so(service: Service) -> None:
    first, second = service.consume(), service.consume()
    assert second.get_json() == first.get_json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert data(service.status("ada"))["analysis"]["used"] == 3


def test_a_key_for_another_request_is_a_conflict(service: Service) -> None:
    service.consume()
    response = service.consume(amount=4)
    assert (response.status_code, response.get_json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_the_key_may_come_in_the_body(service: Service) -> None:
    assert service.consume(key=None, idempotencyKey="k9").get_json()["idempotencyKey"] == "k9"
    assert service.consume(key="k9", idempotencyKey="k9").headers["Idempotent-Replayed"] == "true"


def test_too_few_credits_are_a_402_that_says_what_is_left(service: Service) -> None:
    response = service.consume(creditType="roast", amount=51)
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (402, "INSUFFICIENT_ROAST_CREDITS")
    assert (problem["creditType"], problem["required"], problem["remaining"], problem["limit"]) == ("roast", 51, 50, 50)
    assert problem["periodEnd"].endswith("T00:00:00Z")
    assert problem["upgradeUrl"] == "/billing/upgrade"
    again = service.consume(creditType="roast", amount=51)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (402, "true")
    assert again.get_json()["operationId"] == problem["operationId"]


def test_a_mixed_operation_names_the_kind_that_is_short(service: Service) -> None:
    body = {"userId": "ada", "analysis": 3, "roast": 60}
    assert service.consume(body).get_json()["code"] == "INSUFFICIENT_ROAST_CREDITS"
    assert service.consume(body | {"roast": 50}, key="k2").get_json()["charged"] == {"analysis": 3, "roast": 50}


@pytest.mark.database("sqlite")  # on PostgreSQL the engines are the database's: test_in_database.py breaks those
def test_an_engine_that_fails_is_a_503_and_never_a_402(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_book: Book, _request: Request) -> Decision:
        raise ValueError

    monkeypatch.setattr(execution, "consume", consume_by(Engines(legacy=failing)))
    response = service.consume()
    assert (response.status_code, response.get_json()["code"]) == (503, "CREDITS_UNDECIDED")
    assert response.headers["Retry-After"]
    monkeypatch.undo()
    assert service.consume().get_json()["charged"] == {"analysis": 3, "roast": 0}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "INVALID_AMOUNT"),
        ({"amount": -1}, "INVALID_AMOUNT"),
        ({"amount": 1.5}, "INVALID_AMOUNT"),
        ({"amount": 3.0}, "INVALID_AMOUNT"),
        ({"amount": "3"}, "INVALID_AMOUNT"),
        ({"amount": True}, "INVALID_AMOUNT"),
        ({"amount": 10**30}, "INVALID_AMOUNT"),
        ({"amount": None}, "INVALID_BODY"),
        ({"creditType": "gold"}, "UNKNOWN_CREDIT_TYPE"),
        ({"creditType": 7}, "UNKNOWN_CREDIT_TYPE"),
        ({"userId": ""}, "INVALID_USER_ID"),
        ({"userId": 5}, "INVALID_USER_ID"),
        ({"userId": "x" * 201}, "INVALID_USER_ID"),
        ({"userId": "a\nb"}, "INVALID_USER_ID"),
        ({"userId": "nobody"}, "UNKNOWN_USER"),
        ({"analysis": 1}, "INVALID_BODY"),
        ({"surprise": 1}, "UNKNOWN_FIELD"),
        ({"idempotencyKey": "another"}, "IDEMPOTENCY_KEY_MISMATCH"),
        ({"idempotencyKey": ""}, "INVALID_IDEMPOTENCY_KEY"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(service: Service, changes: dict[str, Any], code: str) -> None:
    response = service.consume(**changes)
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (422, code), problem
    assert problem["detail"].endswith(".")
    assert data(service.status("ada"))["analysis"]["used"] == 0


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("body", [[], "text", 7, {"analysis": 1}, {"userId": "ada", "analysis": 0, "roast": 0}])
def test_a_body_of_another_shape_is_refused(service: Service, body: object) -> None:
    assert service.consume(body).status_code == 422


def test_broken_json_and_missing_keys_are_named(service: Service) -> None:
    headers = service.headers | {"Content-Type": "application/json"}
    broken = service.client.post("/api/credits/consume", data=b'{"userId": ', headers=headers)
    assert (broken.status_code, broken.get_json()["code"]) == (400, "MALFORMED_JSON")
    assert service.consume(key=None).get_json()["code"] == "MISSING_IDEMPOTENCY_KEY"
    assert service.consume(key="x" * 201).get_json()["code"] == "INVALID_IDEMPOTENCY_KEY"
    assert service.consume(key=" ").get_json()["code"] in ("INVALID_IDEMPOTENCY_KEY", "MISSING_IDEMPOTENCY_KEY")


def test_an_unknown_plan_is_named(service: Service, consumer: Consumer) -> None:
    consumer.user("ada", "gold")
    problem = service.consume().get_json()
    assert problem["code"] == "UNKNOWN_PLAN"
    assert "'gold'" in problem["detail"]


def test_only_services_may_consume(service: Service, consumer: Consumer) -> None:
    page = tokens.NewToken("page", "frontend", environment="production")
    with transaction() as session:
        frontend = tokens.create_token(session, page, now=datetime.now(UTC))
    client = consumer.app.test_client()
    assert client.post("/api/credits/consume", json=REQUEST, headers={"Authorization": frontend}).status_code == 403
    assert client.post("/api/credits/consume", json=REQUEST).status_code in (401, 403)


def test_a_user_sees_the_serving_book(service: Service) -> None:
    service.consume()
    status = data(service.status("ada"))
    assert status["analysis"] == {"used": 3, "limit": 100, "bought": 0, "remaining": 97}
    assert status["roast"] == {"used": 0, "limit": 50, "bought": 0, "remaining": 50}
    assert (status["engine"], status["creditsV2Enabled"], status["fallback"]) == ("legacy", False, True)
    month = datetime.now(UTC).strftime("%Y-%m-01T00:00:00Z")
    assert status["period_start"] == month


def test_unlimited_is_null(service: Service, consumer: Consumer) -> None:
    consumer.user("rex", "custom")
    assert data(service.status("rex"))["analysis"] == {"used": 0, "limit": None, "bought": 0, "remaining": None}


def test_a_service_sees_whom_it_names(service: Service) -> None:
    path = "/api/user/credits/status"
    assert data(service.client.get(f"{path}?userId=ada", headers=service.headers))["analysis"]["limit"] == 100
    assert service.client.get(path, headers=service.headers).get_json()["code"] == "USER_ID_REQUIRED"
    assert service.client.get(f"{path}?userId=nobody", headers=service.headers).get_json()["code"] == "UNKNOWN_USER"


def test_a_users_token_opens_that_users_credits_alone(service: Service, consumer: Consumer) -> None:
    consumer.user("bob", "pro")
    expires = datetime.now(UTC) + timedelta(minutes=5)
    token = jwt.encode({"sub": "ada", "exp": expires}, service.secret, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    found = data(service.client.get("/api/user/credits/status?userId=bob", headers=headers))
    assert found["analysis"]["limit"] == 100
    assert service.client.post("/api/credits/consume", json=REQUEST, headers=headers).status_code == 401


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("claims", "secret"),
    [
        ({}, "another secret that is long enough for it"),
        ({"exp": 1}, None),
        ({"sub": 5}, None),
        ({"nbf": 2**40}, None),
    ],
)
def test_a_token_that_proves_nothing_is_refused(service: Service, claims: dict[str, Any], secret: str | None) -> None:
    response = service.status("ada", claims, secret)
    assert (response.status_code, response.get_json()["code"]) == (401, "INVALID_USER_TOKEN")


def test_an_unsigned_token_is_refused(service: Service) -> None:
    token = jwt.encode({"sub": "ada", "exp": 2**40}, "", "none")
    response = service.client.get("/api/user/credits/status", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401


def test_the_configuration_is_open_and_says_whether_v2_is_on(service: Service, consumer: Consumer) -> None:
    before = data(consumer.app.test_client().get("/api/credits/config"))
    assert before["creditTypes"] == ["analysis", "roast"]
    assert before["plans"]["free"]["v2"] == {"analysis": 100, "roast": 10}
    assert before["plans"]["custom"]["legacy"] == {"analysis": None, "roast": None}
    assert before["creditsV2Enabled"] is False


def test_v2_serves_whom_the_rollout_lets_in(settings: Settings) -> None:
    now = datetime.now(UTC)
    development = replace(settings, environment="development")
    with application(development) as app, app.app_context():
        Consumer(app).user("ada")
        service = Service(app, development)
        assert service.consume(key="k0").get_json()["engine"] == "legacy"
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "test", "test"))
        receipt = service.consume().get_json()
        assert (receipt["engine"], receipt["fallback"]) == ("v2", False)
        assert receipt["remaining"] == {"analysis": 94, "roast": 10}
        status = data(service.status("ada"))
        assert (status["roast"]["limit"], status["fallback"]) == (10, False)
        assert data(app.test_client().get("/api/credits/config"))["creditsV2Enabled"] is True
        with transaction() as session:
            rollouts.roll_back(session, FLAG, ChangeContext(now, "test", "drill"))
        assert service.consume(key="k2").get_json()["engine"] == "legacy"
        status = data(service.status("ada"))
        assert (status["roast"]["limit"], status["analysis"]["used"], status["fallback"]) == (50, 9, True)
        assert data(app.test_client().get("/api/credits/config"))["creditsV2Enabled"] is False


def test_looking_at_credits_is_no_operation_that_the_guard_would_wait_for(service: Service, consumer: Consumer) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))

    def routed() -> int:
        signals.flush(datetime.now(UTC))
        with read_only() as session:
            return sum(count.total for series, count in signals.totals(session).items() if "routed" in series.signal)

    data(service.status("ada"))
    assert routed() == 0
    service.consume()
    assert routed() == 1


def test_an_account_with_too_many_requests_under_way_is_refused_for_a_moment(service: Service) -> None:
    execution.ACCOUNT_SEMAPHORE.set(service.client.application, KeyedSemaphore(0, most_waiting=0, max_wait_seconds=0))
    reservation = {"userId": "ada", "idempotencyKey": "k1"}
    for answer in (
        service.consume(),
        service.client.post("/api/credits/commit", json=reservation, headers=service.headers),
        service.client.post("/api/credits/release", json=reservation, headers=service.headers),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (503, "ACCOUNT_BUSY")
        assert answer.headers["Retry-After"] == "2"
    with read_only() as session:
        assert not [series for series, count in signals.totals(session).items() if count.bad]
