"""A slash at the end and a body in gzip change nothing; what can't be unpacked is refused."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flags.protocols import request_normalization

Call = Callable[..., TestResponse]
REPORT = {"appName": "shop", "bucket": {"toggles": {"f": {"yes": 2, "no": 1}}}}


def post(call: Call, path: str, body: bytes, kind: str, encoding: str = "gzip") -> TestResponse:
    return call(
        "POST",
        path,
        kind=kind,
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": encoding},
    )


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("GET", "/api/client/features/", "client", 200),
        ("GET", "/api/client/features/ENABLE_CREDITS_V2/", "client", 200),
        ("GET", "/api/client/features/?namePrefix=E", "client", 200),
        ("GET", "/api/client/delta/", "client", 200),
        ("POST", "/api/client/metrics/", "client", 202),
        ("POST", "/api/client/register/", "client", 202),
        ("GET", "/api/frontend/", "frontend", 200),
        ("POST", "/api/frontend/", "frontend", 200),
        ("POST", "/api/frontend/client/metrics/", "frontend", 200),
        ("POST", "/edge/validate/", "", 200),
        ("POST", "/ofrep/v1/evaluate/flags/", "client", 200),
        ("POST", "/ofrep/v1/evaluate/flags/ENABLE_CREDITS_V2/", "client", 200),
    ],
)
def test_a_slash_at_the_end_changes_nothing(call: Call, method: str, path: str, kind: str, status: int) -> None:
    body: dict[str, Any] = {"appName": "shop", "tokens": []} if method == "POST" else {}
    options = {"json": body} if method == "POST" else {}
    assert call(method, path, kind=kind, **options).status_code == status
    assert call(method, path.replace("/?", "?").rstrip("/"), kind=kind, **options).status_code == status


def test_only_one_slash_and_only_of_sdks_is_forgiven(call: Call) -> None:
    assert call("GET", "/api/client/features//", kind="client").status_code == 404
    assert call("GET", "/api/flags/", kind="admin").status_code == 404


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/api/client/metrics", "client", REPORT, 202),
        ("/api/client/register", "client", {"appName": "shop"}, 202),
        ("/api/frontend", "frontend", {"context": {"userId": "7"}}, 200),
        ("/api/frontend/client/metrics", "frontend", REPORT, 200),
        ("/ofrep/v1/evaluate/flags", "client", {"context": {"targetingKey": "7"}}, 200),
        ("/ofrep/v1/evaluate/flags/ENABLE_CREDITS_V2", "client", {"context": {"targetingKey": "7"}}, 200),
        ("/edge/validate", "", {"tokens": []}, 200),
    ],
)
def test_a_body_in_gzip_is_read(call: Call, path: str, kind: str, body: Any, status: int) -> None:
    packed = gzip.compress(json.dumps(body).encode())
    assert post(call, path, packed, kind).status_code == status
    plain = call("POST", path, kind=kind, json=body)
    if plain.is_json and "toggles" in plain.get_json():
        assert post(call, path, packed, kind).json == plain.json


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{}", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-6], "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(b" " * (request_normalization.BODY_BYTES_MAX + 1), mtime=0), "gzip", 413),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
    ],
    ids=["plain", "short", "empty", "large", "brotli", "twice"],
)
def test_what_can_not_be_unpacked_is_refused(call: Call, body: bytes, encoding: str, status: int) -> None:
    answer = post(call, "/api/client/metrics", body, "client", encoding)
    assert (answer.status_code, answer.get_json()["name"]) == (status, "BadDataError")
    for path, key in (("/ofrep/v1/evaluate/flags/SEARCH", "SEARCH"), ("/ofrep/v1/evaluate/flags", None)):
        answer = post(call, path, body, "client", encoding)
        found = answer.get_json()
        assert (answer.status_code, found.get("key"), found["errorCode"]) == (status, key, "PARSE_ERROR")


def test_a_body_that_is_packed_at_another_address_is_as_it_was(call: Call) -> None:
    assert post(call, "/api/flags", gzip.compress(b"{}"), "admin").status_code == 400
