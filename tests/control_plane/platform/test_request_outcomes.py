"""Which requests the guard counts: those of callers who proved who they are, each account once, and no outage."""

from collections.abc import Callable

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError

from control_plane.platform.auth.authorization import require_role, require_token
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.problems import Problem
from control_plane.platform.settings import Settings
from credits_engine.api.key_set import PublishedKeys
from credits_engine.api.product_users import PUBLISHED_KEYS, acting_user

API = "api_error_rate"
STATUS = "/api/user/credits/status"
pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def routes(app: Flask) -> None:
    def fail(**_: str) -> ResponseReturnValue:
        raise RuntimeError

    def refuse() -> ResponseReturnValue:
        raise Problem(409, "VERSION_CONFLICT", "It moved on.")

    def wait() -> ResponseReturnValue:
        raise OperationalError("SELECT 1", {}, Exception("canceling statement due to lock timeout"))

    def of_user() -> ResponseReturnValue:
        acting_user()
        raise RuntimeError

    app.add_url_rule("/api/test/of", endpoint="test of", view_func=of_user)
    views: dict[str, Callable[[], ResponseReturnValue]] = {
        "fine": lambda: "fine",
        "fail": fail,
        "refuse": refuse,
        "wait": wait,
    }
    for name, view in views.items():
        app.add_url_rule(f"/api/test/{name}", endpoint=f"test {name}", view_func=require_token("service")(view))
        app.add_url_rule(f"/api/open/{name}", endpoint=f"open {name}", view_func=view)
    app.add_url_rule("/api/people/fail", endpoint="people fail", view_func=require_role("viewer")(fail))
    app.add_url_rule("/api/client/fail", endpoint="client fail", view_func=require_token("client")(fail))
    BUFFER.get(app).take()


@pytest.fixture
def service(make_token: Callable[..., str]) -> dict[str, str]:
    """The header of a program that may do something."""
    return {"Authorization": make_token("service")}


def counted(app: Flask, signal: str = API) -> tuple[int, int]:
    """Return the good and bad outcomes since the last call; the failures of the one account that failed count once."""
    good, bad, failures = BUFFER.get(app).take()
    alone = len({failure.account for failure in failures if failure.signal == signal and not failure.engine})
    return good[SeriesKey(signal)], bad[SeriesKey(signal)] + alone


def test_what_a_known_program_is_answered_counts(app: Flask, client: FlaskClient, service: dict[str, str]) -> None:
    for name in ("fine", "refuse", "fail"):
        client.get(f"/api/test/{name}", headers=service)
    assert counted(app) == (2, 1)


def test_what_a_person_is_answered_counts(app: Flask, sign_in: Callable[[str], FlaskClient]) -> None:
    browser = sign_in("victor")
    counted(app)
    browser.get("/api/people/fail")
    assert counted(app) == (0, 1)


HEADERS = {
    "nobody": {},
    "an unknown token": {"Authorization": "*:production.v2_" + "a" * 22 + "_" + "b" * 43},
    "no token at all": {"Authorization": "hunter2"},
    "a user's token that nobody signed": {"Authorization": "Bearer a.b.c"},
}
PATHS = ("/api/test/fine", "/api/test/fail", "/api/open/fine", "/api/open/fail", "/api/credits/config", STATUS)


@pytest.mark.parametrize("path", [*PATHS, "/api/people/fail", "/api/rollouts", "/api/client/fail", "/healthz"])
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_strangers_move_no_signal_for_good_or_bad(
    app: Flask, client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    with app.app_context():
        signals.set_bounds({"database_query_slow": -1.0, "database_pool_wait_slow": -1.0, "credit_status_slow": -1.0})
    for _ in range(3):
        client.get(path, headers=headers)
    assert BUFFER.get(app).take() == ({}, {}, {})


def test_a_token_of_another_type_or_of_a_browser_proves_nothing(
    app: Flask, client: FlaskClient, make_token: Callable[..., str]
) -> None:
    for kind in ("client", "frontend"):
        client.get("/api/test/fail", headers={"Authorization": make_token(kind)})
    client.get("/api/frontend", headers={"Authorization": make_token("frontend")})
    assert BUFFER.get(app).take() == ({}, {}, {})


def test_deliveries_with_a_wrong_signature_or_token_reach_no_alert_that_acts(app: Flask, client: FlaskClient) -> None:
    client.post("/webhooks/stripe", data="{}", headers={"Stripe-Signature": "t=1,v1=00"})
    client.post("/webhooks/alertmanager", json={}, headers={"Authorization": "hunter2"})
    good, bad, failures = BUFFER.get(app).take()
    assert {series.signal for series in (*good, *bad)} <= {"billing_signature_failure"}
    assert failures == {}


def test_keys_that_cannot_be_fetched_are_nobodys_failure(app: Flask, client: FlaskClient, settings: Settings) -> None:
    token = jwt.encode({"sub": "u1", "exp": 9999999999}, settings.user_jwt_secret, algorithm="HS256")
    client.get(STATUS, headers={"Authorization": f"Bearer {token[:-3]}aaa"})
    PUBLISHED_KEYS.set(app, PublishedKeys("http://127.0.0.1:9/keys"))
    header = jwt.utils.base64url_encode(b'{"alg":"RS256","kid":"k"}').decode()
    answer = client.get(STATUS, headers={"Authorization": f"Bearer {header}.e30.AAAA"})
    assert answer.status_code == 503
    assert counted(app) == (0, 0)


def test_an_outage_of_the_database_is_no_failure_of_an_engine(
    app: Flask, client: FlaskClient, service: dict[str, str]
) -> None:
    assert client.get("/api/test/wait", headers=service).status_code == 503
    assert counted(app) == (0, 0)


def test_one_callers_retries_and_one_accounts_failures_count_once(
    app: Flask, client: FlaskClient, service: dict[str, str]
) -> None:
    for _ in range(20):
        client.get("/api/test/fail", headers=service)
    assert counted(app) == (0, 1)
    for user in ("u1", "u2", "u1"):
        client.get(f"/api/test/of?userId={user}", headers=service)
    assert counted(app) == (0, 2)


@pytest.mark.parametrize(("seconds", "slow"), [(-1.0, 1), (60.0, 0)])
def test_the_answers_of_a_watched_endpoint_are_slow_by_the_bound_of_its_alert(
    app: Flask, client: FlaskClient, service: dict[str, str], seconds: float, slow: int
) -> None:
    telemetry.measure_latency(app, "test_slow", "test fine", slow_after_seconds=0.0)
    with app.app_context():
        signals.set_bounds({"test_slow": seconds})
    client.get("/api/test/fine", headers=service)
    good, bad = counted(app, "test_slow")
    assert (good + bad, bad) == (1, slow)


def test_polling_flags_and_pages_do_not_drown_the_api(
    app: Flask, client: FlaskClient, make_token: Callable[..., str]
) -> None:
    client.get("/api/client/fail", headers={"Authorization": make_token("client")})
    assert counted(app) == (0, 0)
