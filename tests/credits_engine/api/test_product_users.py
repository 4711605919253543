import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from werkzeug.test import TestResponse

from control_plane.platform.settings import Settings
from credits_engine.api.user_tokens import LEEWAY_SECONDS
from tests.applications import application
from tests.credits_engine.conftest import Consumer

SECRET = "a secret that the product and the tests share"
PUBLISHED: list[dict[str, Any]] = []

pytestmark = pytest.mark.database("sqlite")


class KeySetHandler(BaseHTTPRequestHandler):
    """A server that publishes what is in PUBLISHED."""

    def do_GET(self) -> None:
        body = json.dumps({"keys": PUBLISHED}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@pytest.fixture(scope="module")
def private_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture
def keys_url(private_key: RSAPrivateKey) -> Iterator[str]:
    public = json.loads(RSAAlgorithm.to_jwk(private_key.public_key()))
    PUBLISHED[:] = [public | {"kid": "one", "use": "sig", "alg": "RS256"}]
    server = HTTPServer(("127.0.0.1", 0), KeySetHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    server.server_close()


def status(settings: Settings, token: str) -> TestResponse:
    with application(settings) as app, app.app_context():
        Consumer(app).user("ada")
        return app.test_client().get("/api/user/credits/status", headers={"Authorization": f"Bearer {token}"})


def signed(key: Any, algorithm: str, kid: str = "one") -> str:
    expires = datetime.now(UTC) + timedelta(minutes=5)
    return jwt.encode({"sub": "ada", "exp": expires}, key, algorithm, headers={"kid": kid})


def test_a_token_signed_with_a_published_key_is_accepted(
    settings: Settings, keys_url: str, private_key: RSAPrivateKey
) -> None:
    published = replace(settings, user_jwt_secret="", user_jwt_jwks_url=keys_url)
    assert status(published, signed(private_key, "RS256")).status_code == 200
    assert status(published, signed(SECRET, "HS256")).status_code == 401
    assert status(published, signed(private_key, "RS256", "two")).get_json()["code"] == "INVALID_USER_TOKEN"
    assert status(published, signed(generate_private_key(65537, 2048), "RS256")).status_code == 401


def test_a_published_key_is_never_taken_for_the_shared_secret(
    settings: Settings, keys_url: str, private_key: RSAPrivateKey
) -> None:
    both = replace(settings, user_jwt_secret=SECRET, user_jwt_jwks_url=keys_url)
    assert status(both, signed(SECRET, "HS256")).status_code == 200
    head, _, _ = signed(SECRET, "HS256").partition(".")
    body = signed(private_key, "RS256").split(".")[1]
    stolen = hmac.digest(json.dumps(PUBLISHED[0]).encode(), f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{urlsafe_b64encode(stolen).decode().rstrip('=')}"
    assert status(both, forged).status_code == 401


def test_without_a_secret_and_without_keys_no_user_token_is_accepted(settings: Settings) -> None:
    response = status(replace(settings, user_jwt_secret=""), signed(SECRET, "HS256"))
    assert (response.status_code, response.get_json()["code"]) == (401, "INVALID_USER_TOKEN")
    assert "USER_JWT_JWKS_URL" in response.get_json()["detail"]


def test_keys_that_cannot_be_fetched_are_a_503_and_no_refusal(settings: Settings, private_key: RSAPrivateKey) -> None:
    away = replace(settings, user_jwt_jwks_url="http://127.0.0.1:9/keys")
    response = status(away, signed(private_key, "RS256"))
    assert (response.status_code, response.get_json()["code"]) == (503, "USER_KEYS_UNAVAILABLE")


def test_a_token_that_was_accepted_is_refused_once_it_has_expired(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, token = replace(settings, user_jwt_secret=SECRET), signed(SECRET, "HS256")
    assert status(shared, token).status_code == 200
    later = time.time() + timedelta(minutes=5, seconds=LEEWAY_SECONDS + 1).total_seconds()
    monkeypatch.setattr(time, "time", lambda: later)
    response = status(shared, token)
    assert (response.status_code, response.get_json()["code"]) == (401, "INVALID_USER_TOKEN")
    assert "expired" in response.get_json()["detail"]


def test_what_one_secret_proved_another_does_not(settings: Settings) -> None:
    token = signed(SECRET, "HS256")
    assert status(replace(settings, user_jwt_secret=SECRET), token).status_code == 200
    assert status(replace(settings, user_jwt_secret=f"{SECRET}, once more"), token).status_code == 401
