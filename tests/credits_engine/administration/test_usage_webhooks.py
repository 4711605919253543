"""The product is told of thresholds and refusals: once, signed, again until it is taken, and of nothing before."""

import base64
import hmac
import json
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import SETTINGS, Settings
from credits_engine.administration import usage_webhooks as service
from credits_engine.engines.usage_thresholds import PERCENTS, passed
from credits_engine.erasure import service as erasure
from credits_engine.store import usage_webhooks as store
from credits_engine.store.usage_webhooks import WEBHOOKS
from tests.credits_engine.conftest import Consumer

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ADDRESS = "https://product.example/hook"


@dataclass
class WebhookReceiver:
    """A server that takes requests, or answers with another status, or not at all."""

    answers: list[int | None] = field(default_factory=list)
    received: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    def __call__(self, address: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.received.append((address, body, headers))
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None:
            raise requests.ConnectionError
        return answer

    @property
    def told(self) -> list[tuple[str, str, int | None]]:
        documents = [json.loads(body) for _, body, _ in self.received]
        return [(each["type"], each["data"]["userId"], each["data"].get("percent")) for each in documents]


@pytest.fixture
def product(consumer: Consumer) -> WebhookReceiver:
    SETTINGS.set(consumer.app, replace(SETTINGS.get(), usage_webhook_url=ADDRESS, usage_webhook_secret=SECRET))
    return WebhookReceiver()


def follow(consumer: Consumer, product: WebhookReceiver) -> None:
    # On PostgreSQL the first look marks the journal's end, the next one reads up to it.
    for _ in range(3):
        service.collect(consumer.now)
    service.deliver(consumer.now, product)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 300))
def test_each_threshold_is_passed_once_however_usage_grows(steps: list[int], limit: int) -> None:
    used, found = 0, list[int]()
    for step in steps:
        found += passed(used, used + step, limit)
        used += step
    assert found == [percent for percent in PERCENTS if used * 100 >= percent * limit]
    assert passed(0, used, None) == passed(0, used, 0) == ()


@pytest.mark.parametrize("v2", [False, True])
def test_thresholds_and_the_first_refusal_of_an_hour_are_told_once(
    consumer: Consumer, product: WebhookReceiver, v2: bool
) -> None:
    consumer.v2 = v2
    consumer.user("ada")
    consumer.take("ada", "k0", analysis=79)
    follow(consumer, product)
    consumer.take("ada", "k1", analysis=1)
    consumer.take("ada", "k2", analysis=19)
    consumer.take("ada", "k3", analysis=2)
    consumer.take("ada", "k4", analysis=3)
    follow(consumer, product)
    follow(consumer, product)
    told = [("credits.threshold", "ada", 80), ("credits.threshold", "ada", 95), ("credits.refused", "ada", None)]
    assert product.told == told
    consumer.take("ada", "k5", analysis=1)
    consumer.now += timedelta(hours=1)
    consumer.take("ada", "k6", analysis=2)
    follow(consumer, product)
    assert product.told == [*told, ("credits.threshold", "ada", 100), ("credits.refused", "ada", None)]


def test_after_an_upgrade_the_thresholds_of_the_new_limit_are_told(
    consumer: Consumer, product: WebhookReceiver
) -> None:
    _pass_a_threshold(consumer, product)
    consumer.user("ada", "starter")
    for number, amount in enumerate((719, 1, 1)):
        consumer.take("ada", f"u{number}", analysis=amount)
    follow(consumer, product)
    limits = [json.loads(body)["data"]["limit"] for _, body, _ in product.received]
    assert (product.told, limits) == ([("credits.threshold", "ada", 80)] * 2, [100, 1000])


def test_what_happened_before_the_address_was_set_is_not_told(consumer: Consumer, product: WebhookReceiver) -> None:
    consumer.user("ada")
    consumer.take("ada", "k0", analysis=100)
    follow(consumer, product)
    assert product.told == []


def test_a_request_is_signed_as_the_standard_has_it(consumer: Consumer, product: WebhookReceiver) -> None:
    product.answers = [500]
    _pass_a_threshold(consumer, product)
    consumer.now += timedelta(minutes=1)
    follow(consumer, product)
    (_, _, first), (address, body, headers) = product.received
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert (address, headers["webhook-signature"]) == (ADDRESS, f"v1,{expected}")
    assert headers["webhook-id"] == first["webhook-id"]
    assert headers["webhook-timestamp"] == str(int(consumer.now.timestamp()))


@pytest.mark.parametrize("answer", [500, 302, 404, None])
def test_what_is_not_taken_is_sent_again_later_and_given_up_in_the_end(
    consumer: Consumer, product: WebhookReceiver, answer: int | None
) -> None:
    product.answers = [answer] * 100
    _pass_a_threshold(consumer, product)
    follow(consumer, product)
    assert len(product.received) == 1, "the pause has begun"
    for _ in range(30):
        consumer.now += timedelta(hours=1)
        follow(consumer, product)
    assert len(product.received) == service.ATTEMPTS_MAX
    with read_only() as session:
        assert store.by_state(session) == {"pending": 0, "delivered": 0, "dead": 1}
        error = session.scalar(select(WEBHOOKS.c.error))
    assert ADDRESS not in str(error)


def test_a_receiver_that_never_ends_its_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sent = pool.submit(service.post, address, b"{}", {})
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
            assert sent.result() == 200


def test_of_two_leaders_one_delivers(consumer: Consumer, product: WebhookReceiver) -> None:
    consumer.user("ada")
    follow(consumer, product)
    consumer.take("ada", "k0", analysis=80)
    for _ in range(3):
        service.collect(consumer.now)
    other = WebhookReceiver()

    def overtaken(address: str, body: bytes, headers: Mapping[str, str]) -> int:
        service.deliver(consumer.now, other)
        return product(address, body, headers)

    assert service.deliver(consumer.now, overtaken) == 1
    assert (len(product.received), len(other.received)) == (1, 0)


def test_an_erased_user_is_told_of_by_their_pseudonym(consumer: Consumer, product: WebhookReceiver) -> None:
    product.answers = [500]
    _pass_a_threshold(consumer, product)
    done = erasure.erase("ada", ChangeContext(consumer.now, "alice", "Asked."))
    consumer.now += timedelta(minutes=1)
    follow(consumer, product)
    assert product.told[-1][1] == done.pseudonym


def test_users_near_their_limit_are_listed_page_by_page(
    consumer: Consumer, product: WebhookReceiver, sign_in: Callable[[str], FlaskClient]
) -> None:
    for user, used in (("ada", 80), ("bob", 79), ("eve", 100)):
        consumer.user(user)
        consumer.take(user, "k", analysis=used)
    consumer.user("zoe", "custom")
    consumer.take("zoe", "k", analysis=9_999)
    with read_only() as session:
        found = store.near_limit(session, percent=80, after="", most=10, now=consumer.now)
        assert [(each.user_id, each.kind, each.used, each.limit) for each in found] == [
            ("ada", "analysis", 80, 100),
            ("eve", "analysis", 100, 100),
        ]
        assert [
            each.user_id for each in store.near_limit(session, percent=80, after="ada", most=1, now=consumer.now)
        ] == ["eve"]
    alice, consumer.now = sign_in("alice"), clock.now()
    consumer.take("eve", "today", analysis=95)
    listed = alice.get("/api/admin/credits/near-limit").get_json()
    assert listed["nextAfter"] is None
    assert [each | {"periodEnd": ""} for each in listed["users"]] == [
        {"userId": "eve", "plan": "free", "kind": "analysis", "used": 95, "limit": 100, "periodEnd": ""}
    ]
    assert alice.get("/api/admin/credits/near-limit?percent=0").status_code == 400
    assert sign_in("olga").get("/api/admin/credits/near-limit").status_code == 403


@pytest.mark.parametrize(
    "environ", [{"USAGE_WEBHOOK_URL": ADDRESS}, {"USAGE_WEBHOOK_SECRET": "whsec_short"}, {"USAGE_WEBHOOK_URL": "x"}]
)
def test_an_address_without_a_good_secret_stops_the_start(environ: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="USAGE_WEBHOOK"):
        Settings.from_env(environ)


def _pass_a_threshold(consumer: Consumer, product: WebhookReceiver) -> None:
    consumer.user("ada")
    follow(consumer, product)
    consumer.take("ada", "k0", analysis=80)
    follow(consumer, product)
