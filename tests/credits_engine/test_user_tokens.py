"""Whatever somebody writes into a user token, the answer is that it can't be used."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from control_plane.platform.settings import Settings
from tests.applications import application
from tests.conftest import ROOT
from tests.credits_engine.conftest import Consumer

SECRET = "a secret that the product and the tests share"
STRONG, WEAK = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose
CURVE, LONG_CURVE = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
KEYS: list[Any] = [
    RSAAlgorithm.to_jwk(STRONG.public_key(), as_dict=True) | {"kid": "rsa"},
    RSAAlgorithm.to_jwk(WEAK.public_key(), as_dict=True) | {"kid": "weak"},
    ECAlgorithm.to_jwk(CURVE.public_key(), as_dict=True) | {"kid": "ec"},
    ECAlgorithm.to_jwk(LONG_CURVE.public_key(), as_dict=True) | {"kid": "ec384"},
    ECAlgorithm.to_jwk(LONG_CURVE.public_key(), as_dict=True) | {"kid": "misnamed", "alg": "ES256"},
    OKPAlgorithm().to_jwk(EDWARDS.public_key(), as_dict=True) | {"kid": "okp"},
    {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
    {"kty": "oct", "k": "c2VjcmV0", "kid": "oct as rsa", "alg": "RS256"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
    {"kty": "RSA", "kid": "empty"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "nowhere"},
    {"kty": "new", "kid": "new"},
]
KIDS = [key["kid"] for key in KEYS]
ALGORITHMS = ["HS256", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "ES256K", "EdDSA", "none", "None", ""]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


class KeySetHandler(BaseHTTPRequestHandler):
    """A server that publishes KEYS."""

    document: ClassVar[Any] = {"keys": KEYS}

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.document).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@pytest.fixture(scope="module")
def keys_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), KeySetHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def product(keys_url: str, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    place = tmp_path_factory.mktemp("product")
    (place / "rollout.db").write_bytes(sqlite_template.read_bytes())
    configured = Settings(
        database_url=f"sqlite:///{place / 'rollout.db'}",
        instance_dir=place,
        secret_key="a key for tests",
        alerts_file=ROOT / "alerts.yaml",
        user_jwt_secret=SECRET,
        user_jwt_jwks_url=keys_url,
        background=False,
    )
    with application(configured) as app, app.app_context():
        Consumer(app).user("ada")
        yield app.test_client()


def part(document: Any) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def status_of(product: FlaskClient, token: str) -> tuple[int, str]:
    response = product.get("/api/user/credits/status", headers={"Authorization": f"Bearer {token}"})
    return response.status_code, response.get_json().get("code", "")


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "ada", "exp": int(time.time()) + 300} | changes


GENEROUS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@GENEROUS
@given(
    header=st.fixed_dictionaries(
        {"alg": st.sampled_from(ALGORITHMS) | ANYTHING},
        optional={
            "kid": st.sampled_from(KIDS) | ANYTHING,
            "typ": ANYTHING,
            "crit": ANYTHING,
            "b64": ANYTHING,
            "jwk": ANYTHING,
        },
    ),
    payload=ANYTHING | st.fixed_dictionaries({"sub": ANYTHING, "exp": ANYTHING}),
    signature=st.text("ABCDEFabcdef0123456789_-", max_size=100),
)
def test_an_unsigned_token_is_refused(product: FlaskClient, header: Any, payload: Any, signature: str) -> None:
    assert status_of(product, f"{part(header)}.{part(payload)}.{signature}") == (401, "INVALID_USER_TOKEN")


@GENEROUS
@given(st.lists(st.text('abcdefXYZ0189_-=+/ {}"', max_size=30), min_size=3, max_size=3).map(".".join))
def test_garbage_with_two_dots_is_refused(product: FlaskClient, token: str) -> None:
    assert status_of(product, token.strip()) in ((401, "INVALID_USER_TOKEN"), (401, "UNAUTHENTICATED"))


@GENEROUS
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("sub", "exp", "nbf", "iat", "aud", "iss", "jti"), ANYTHING)))
def test_what_the_product_signs_by_mistake_is_no_error_of_ours(
    product: FlaskClient, changed: Mapping[str, Any]
) -> None:
    head = part({"alg": "HS256"})
    body = part(claims(**changed))
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{body}".encode(), SECRET.encode()
    )
    token = f"{head}.{body}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
    status, _ = status_of(product, token)
    assert status in (200, 401, 422)


@pytest.mark.parametrize("kid", KIDS)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS256"])
def test_a_key_of_another_kind_is_refused(product: FlaskClient, kid: str, algorithm: str) -> None:
    header = part({"alg": algorithm, "kid": kid})
    assert status_of(product, f"{header}.{part(claims())}.AAAA") == (401, "INVALID_USER_TOKEN")


@pytest.mark.parametrize(
    ("kid", "key", "algorithm", "status"),
    [
        ("rsa", STRONG, "RS256", 200),
        ("ec", CURVE, "ES256", 200),
        ("okp", EDWARDS, "EdDSA", 200),
        ("weak", WEAK, "RS256", 401),
        ("misnamed", LONG_CURVE, "ES384", 401),
        ("rsa", WEAK, "RS256", 401),
    ],
)
@pytest.mark.filterwarnings("ignore:The RSA key is:jwt.warnings.InsecureKeyLengthWarning")
def test_a_signature_counts_by_the_strength_of_its_key(
    product: FlaskClient, kid: str, key: Any, algorithm: str, status: int
) -> None:
    assert status_of(product, jwt.encode(claims(), key, algorithm, headers={"kid": kid}))[0] == status


def test_a_header_that_nests_without_end_is_refused(product: FlaskClient) -> None:
    deep = urlsafe_b64encode(b'{"alg":' + b"[" * 50_000).decode().rstrip("=")
    assert status_of(product, f"{deep}.{part(claims())}.AAAA") == (401, "INVALID_USER_TOKEN")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("document", [[], {"keys": "none"}, {"keys": [1, None]}, {"keys": []}, {"none": 1}, "x"])
def test_keys_that_are_no_keys_are_a_503(
    settings: Settings, keys_url: str, monkeypatch: pytest.MonkeyPatch, document: Any
) -> None:
    monkeypatch.setattr(KeySetHandler, "document", document)
    with application(replace(settings, user_jwt_jwks_url=keys_url)) as app:
        token = jwt.encode(claims(), STRONG, "RS256", headers={"kid": "rsa"})
        assert status_of(app.test_client(), token) == (503, "USER_KEYS_UNAVAILABLE")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("audience", "issuer", "said", "status"),
    [
        ((), (), {}, 200),
        ((), (), {"iss": "anybody"}, 200),
        ((), (), {"aud": "credits"}, 401),
        (("credits",), (), {"aud": "credits"}, 200),
        (("credits", "meter"), (), {"aud": ["other", "meter"]}, 200),
        (("credits",), (), {"aud": "other"}, 401),
        (("credits",), (), {}, 401),
        ((), ("https://id.example",), {"iss": "https://id.example"}, 200),
        ((), ("https://id.example",), {"iss": "https://id.example/"}, 401),
        ((), ("https://id.example",), {}, 401),
        (("credits",), ("a", "b"), {"aud": "credits", "iss": "b"}, 200),
    ],
)
def test_audience_and_issuer_count_as_configured(
    settings: Settings, audience: tuple[str, ...], issuer: tuple[str, ...], said: dict[str, Any], status: int
) -> None:
    configured = replace(settings, user_jwt_secret=SECRET, user_jwt_audience=audience, user_jwt_issuer=issuer)
    with application(configured) as app, app.app_context():
        Consumer(app).user("ada")
        answer = status_of(app.test_client(), jwt.encode(claims(**said), SECRET, "HS256"))
        assert answer[0] == status
        assert status == 200 or answer[1] == "INVALID_USER_TOKEN"
