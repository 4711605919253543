import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread

import jwt
import pytest
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from control_plane.platform.settings import Settings
from credits_engine.engines.amounts import Amounts
from credits_engine.middleware import require_analysis_credits, require_both_credits
from docs.examples.roast_service import create_app
from tests.credits_engine.conftest import Consumer


class Shop:
    """Views that cost credits in the application that holds them."""

    def __init__(self, consumer: Consumer, secret: str) -> None:
        self.consumer = consumer
        self.worked = 0
        self.status = 200
        expires = datetime.now(UTC) + timedelta(minutes=5)
        token = jwt.encode({"sub": "ada", "exp": expires}, secret, "HS256")
        self.headers = {"Authorization": f"Bearer {token}"}
        consumer.app.add_url_rule("/work", "work", require_analysis_credits(3)(self.work), methods=["POST"])
        consumer.app.add_url_rule("/both", "both", require_both_credits(1, 51)(self.work), methods=["POST"])

    def work(self) -> tuple[str, int]:
        self.worked += 1
        if self.status == 0:
            raise RuntimeError("no luck")
        return "done", self.status

    def post(self, path: str = "/work", key: str | None = None) -> TestResponse:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return self.consumer.app.test_client().post(path, headers=headers)

    @property
    def used(self) -> Amounts:
        both = self.consumer.books("ada")
        assert both.legacy.used == both.v2.used
        return both.v2.used


@pytest.fixture
def shop(consumer: Consumer, settings: Settings) -> Shop:
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    return Shop(consumer, settings.user_jwt_secret)


def test_work_that_succeeds_is_charged_and_its_retry_is_free(shop: Shop) -> None:
    assert shop.post(key="w1").status_code == 200
    assert shop.post(key="w1").status_code == 200
    assert (shop.worked, shop.used) == (2, Amounts(3, 0))
    shop.post()
    assert shop.used == Amounts(6, 0)


@pytest.mark.parametrize("status", [0, 500, 503, 404])
def test_work_that_fails_gives_everything_back_and_its_retry_is_charged_once(shop: Shop, status: int) -> None:
    shop.status = status
    assert shop.post(key="w1").status_code == (status or 500)
    assert shop.used == Amounts()
    shop.status = 200
    assert shop.post(key="w1").status_code == 200
    assert shop.post(key="w1").status_code == 200
    assert shop.used == Amounts(3, 0)


def test_too_few_credits_refuse_both_kinds_before_any_work(shop: Shop) -> None:
    response = shop.post("/both")
    assert (response.status_code, response.get_json()["code"]) == (402, "INSUFFICIENT_ROAST_CREDITS")
    assert response.content_type == "application/problem+json"
    assert (shop.worked, shop.used) == (0, Amounts())


def test_a_stranger_is_refused_before_any_work(shop: Shop) -> None:
    shop.headers = {}
    assert shop.post().status_code == 401
    assert shop.worked == 0


class Remote:
    """The sample service of the documentation, and the control plane that it asks over the network."""

    def __init__(self, consumer: Consumer, url: str, token: str, limit_seconds: float) -> None:
        self.consumer = consumer
        self.service: Flask = create_app(url, token, limit_seconds)

    def post(self, path: str, key: str = "", subject: str = "Bob") -> TestResponse:
        headers = {"X-User": "ada"} | ({"Idempotency-Key": key} if key else {})
        return self.service.test_client().post(path, json={"subject": subject}, headers=headers)


@pytest.fixture
def control_plane(consumer: Consumer) -> Iterator[str]:
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    server = make_server("127.0.0.1", 0, consumer.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.database("sqlite")
def test_the_sample_service_counts_over_http(
    consumer: Consumer, control_plane: str, make_token: Callable[..., str]
) -> None:
    remote = Remote(consumer, control_plane, make_token("service"), limit_seconds=10)
    assert remote.post("/roast", "r1").status_code == 200
    assert remote.post("/roast", "r1").status_code == 200
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts(0, 1)
    assert remote.post("/thorough-roast", "r2", subject="nobody").status_code == 500
    assert consumer.books("ada").v2.used == Amounts(0, 1)
    assert remote.post("/thorough-roast", "r2").status_code == 200
    assert consumer.books("ada").v2.used == Amounts(1, 2)
    consumer.take("ada", "all", roast=48)
    refused = remote.post("/roast", "r3")
    assert (refused.status_code, refused.get_json()["code"]) == (402, "INSUFFICIENT_ROAST_CREDITS")
    assert refused.get_json()["remaining"] == 0


@pytest.mark.database("sqlite")
def test_credits_that_do_not_answer_in_time_are_a_503_before_any_work(consumer: Consumer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        remote = Remote(consumer, f"http://127.0.0.1:{silent.getsockname()[1]}", "token", limit_seconds=0.05)
        response = remote.post("/roast")
    assert (response.status_code, response.get_json()["code"]) == (503, "CREDITS_UNREACHABLE")
    assert response.headers["Retry-After"] == "1"
