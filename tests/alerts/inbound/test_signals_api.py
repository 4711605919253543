"""Services report counts; a batch counts once, and nobody adds to what this program measures itself."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts

Post = Callable[..., TestResponse]
BATCH: dict[str, Any] = {"batchId": "meter-0001", "signals": [{"name": "roast_quality", "bad": 2, "total": 50}]}


@pytest.fixture
def post(client: FlaskClient, service_token: str) -> Post:
    def post(body: object = BATCH) -> TestResponse:
        return client.post("/api/signals", json=body, headers={"Authorization": f"Bearer {service_token}"})

    return post


def counted(app: Flask) -> dict[SeriesKey, Counts]:
    with app.app_context(), read_only() as session:
        return {key: count for key, count in signals.totals(session).items() if key.signal == "roast_quality"}


def test_a_batch_counts_once_however_often_it_is_sent(app: Flask, post: Post) -> None:
    assert [post().get_json()["counted"] for _ in range(3)] == [True, False, False]
    assert counted(app) == {SeriesKey("roast_quality"): Counts(2, 50)}
    assert post(BATCH | {"batchId": "meter-0002"}).get_json()["counted"] is True
    assert counted(app) == {SeriesKey("roast_quality"): Counts(4, 100)}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"batchId": "meter-0001"}, "INVALID_BODY"),
        (BATCH | {"batchId": "short"}, "INVALID_BODY"),
        (BATCH | {"signals": [{"name": "roast_quality", "bad": 3, "total": 2}]}, "INVALID_BODY"),
        (BATCH | {"signals": [{"name": "Roast", "bad": 0, "total": 2}]}, "INVALID_BODY"),
        (BATCH | {"signals": [{"name": "api_error_rate", "bad": 0, "total": 2}]}, "RESERVED_SIGNAL"),
        (BATCH | {"signals": [{"name": "credit_routed", "bad": 2, "total": 2}]}, "RESERVED_SIGNAL"),
    ],
)
def test_what_can_not_be_counted_is_refused_and_leaves_nothing(app: Flask, post: Post, body: Any, code: str) -> None:
    response = post(body)
    assert (response.status_code, response.get_json()["code"]) == (422, code)
    assert counted(app) == {}
    assert post().get_json()["counted"] is True, "its name is still free"


def test_only_services_report(app: Flask, make_token: Callable[..., str]) -> None:
    assert app.test_client().post("/api/signals", json=BATCH).status_code == 401
    frontend = {"Authorization": f"Bearer {make_token('frontend')}"}
    assert app.test_client().post("/api/signals", json=BATCH, headers=frontend).status_code == 403
