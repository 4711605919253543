"""What is answered in front of Flask is what the views would have answered, to the byte."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from control_plane.experiments.credits import FLAG
from flags.protocols import wsgi_fast_path
from flags.protocols.wsgi_fast_path import FastPath
from flags.store import UserAttributes
from tests.installation import Installation

Call = Callable[..., TestResponse]
ONE, ALL = f"/ofrep/v1/evaluate/flags/{FLAG}", "/ofrep/v1/evaluate/flags"
ANN = {"context": {"targetingKey": "ann", "plan": "pro", "age": 7}}
JSON = "application/json"
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("client", {"path": "/api/client/features"}),
    ("client", {"path": "/api/client/features", "headers": {"Unleash-Client-Spec": "6.1.0"}}),
    ("client", {"path": "/api/client/features", "headers": {"Unleash-Client-Spec": "newest"}}),
    ("client", {"path": "/api/client/features?namePrefix=x"}),
    ("admin", {"path": "/api/client/features"}),
    ("", {"path": "/api/client/features"}),
    ("frontend", {"path": "/api/frontend"}),
    ("frontend", {"path": "/api/frontend?userId=ann&userId=bob&properties[plan]=pro&currentTime=never&x="}),
    ("frontend", {"path": "/api/frontend?userId=%FF%00"}),
    ("frontend", {"path": "/api/frontend", "method": "POST", "json": {"context": {"userId": "ann"}}}),
    ("frontend", {"path": "/api/frontend", "method": "POST", "data": b"{", "content_type": JSON}),
    ("frontend", {"path": "/api/frontend", "method": "POST", "data": b"[]", "content_type": JSON}),
    ("frontend", {"path": "/api/frontend", "method": "POST"}),
    ("client", {"path": "/api/frontend"}),
    ("client", {"path": ONE, "method": "POST", "json": ANN}),
    ("client", {"path": ONE, "method": "POST", "data": b"{"}),
    ("client", {"path": ONE, "method": "POST", "data": b" " * 70_000}),
    ("client", {"path": f"{ALL}/NOT_THERE", "method": "POST", "json": ANN}),
    ("client", {"path": f"{ALL}/%F0%9F%98%80", "method": "POST", "json": ANN}),
    ("frontend", {"path": ALL, "method": "POST", "json": ANN}),
    ("frontend", {"path": ALL, "method": "POST"}),
    ("", {"path": ALL, "method": "POST", "json": ANN}),
]


def fast_path(app: Flask) -> FastPath:
    """Return the lanes in front of the application, behind whatever else stands before it."""
    layer: Any = app.wsgi_app
    while not isinstance(layer, FastPath):
        layer = layer._behind
    return layer


@pytest.mark.parametrize(("kind", "request_"), REQUESTS)
def test_both_ways_lead_to_the_same_answer(
    app: Flask, installation: Installation, monkeypatch: pytest.MonkeyPatch, kind: str, request_: dict[str, Any]
) -> None:
    monkeypatch.setattr(wsgi_fast_path, "BODY_BYTES_MAX", 60_000)
    installation.users(UserAttributes("ann", "pro", beta=True))
    installation.move(2, 3)
    installation.publish()
    headers = request_.get("headers", {}) | ({"Authorization": f"Bearer {installation.token(kind)}"} if kind else {})
    asked = {**request_, "headers": headers}
    lane = fast_path(app)
    fast, slow = (Client(application).open(**asked) for application in (lane, lane._behind))
    assert (fast.status_code, _body(fast)) == (slow.status_code, _body(slow))
    assert _headers(fast) == _headers(slow)
    seen = {**asked, "headers": headers | {"If-None-Match": fast.headers.get("ETag", '"none"')}}
    assert [Client(application).open(**seen).status_code for application in (lane, lane._behind)] == [
        304 if "ETag" in fast.headers else fast.status_code
    ] * 2


def test_usual_requests_never_reach_the_views(
    app: Flask, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.publish()
    lane = fast_path(app)
    Client(lane).get("/api/client/features", headers={"Authorization": installation.token("client")})

    def fail(*_: object) -> None:
        raise AssertionError("Flask was asked.")

    monkeypatch.setattr(lane, "_behind", fail)
    usual = [("client", "GET", "/api/client/features"), ("frontend", "GET", "/api/frontend?userId=7")]
    usual += [("frontend", "POST", "/api/frontend"), ("client", "POST", ONE), ("client", "POST", ALL)]
    for kind, method, path in usual:
        options: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = Client(lane).open(path, method=method, headers={"Authorization": installation.token(kind)}, **options)
        assert answer.status_code in (200, 400), path


def _body(answer: TestResponse) -> object:
    if answer.mimetype == "application/problem+json":
        return answer.get_json() | {"request_id": ""}
    if answer.mimetype == JSON and isinstance(answer.json, dict):
        changing = {"eventStreams", "id"}
        return {name: value for name, value in answer.json.items() if name not in changing}
    return answer.data


def _headers(answer: TestResponse) -> dict[str, str]:
    told = ("Content-Type", "ETag", "Cache-Control", "Access-Control-Allow-Origin", "X-Content-Type-Options")
    return {name: answer.headers[name] for name in told if name in answer.headers}
