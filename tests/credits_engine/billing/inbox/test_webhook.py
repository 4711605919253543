import json
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import db, transaction
from control_plane.platform.settings import SETTINGS
from credits_engine.billing.inbox import webhook
from credits_engine.billing.inbox.webhook import INBOX_WRITER, InboxWriter, parse
from credits_engine.billing.models import EVENTS
from credits_engine.billing.store.inbox import Delivery
from tests.credits_engine.billing.conftest import OLD_SECRET, Billing, sign
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe


def an_event(**fields: Any) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1, "data": {"object": {}}, **fields}


def test_an_event_is_stored_before_it_is_acknowledged(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    event = stripe.events[-1]
    answer = billing.post(event)
    assert (answer.status_code, answer.json) == (200, {"received": True})
    (row,) = billing.rows(EVENTS)
    assert json.loads(row["body"]) == event
    assert (row["event_id"], row["type"], row["state"]) == (event["id"], "checkout.session.completed", "new")
    assert (row["customer_id"], row["object_id"]) == ("cus_ada", "cs_9")
    assert row["api_version"] == "2026-10-28.endive"


def test_what_is_acknowledged_survives_a_power_cut(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.readlink(f"/proc/self/fd/{number}")))
    assert billing.post(an_event()).status_code == 200
    is_sqlite = db.engine.dialect.name == "sqlite"
    assert synced == ([f"{db.engine.url.database}-wal"] if is_sqlite else [])


def test_a_second_delivery_is_acknowledged_and_only_counted(billing: Billing) -> None:
    for secret in (OLD_SECRET, None, None):
        assert billing.post(an_event(), **({"secret": secret} if secret else {})).status_code == 200
    (row,) = billing.rows(EVENTS)
    assert row["deliveries"] == 3


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b"NaN", b"{}", b'{"id": 1}', b"nonsense", b"[" * 100_000])
def test_a_signed_body_that_is_no_event_is_refused(billing: Billing, body: bytes) -> None:
    answer = billing.post(body)
    assert (answer.status_code, answer.json and answer.get_json()["code"]) == (400, "UNUSABLE_EVENT")
    assert billing.rows(EVENTS) == []


def test_an_unknown_type_and_an_unknown_generation_are_stored(billing: Billing) -> None:
    assert billing.post(an_event(type="moon.eclipsed", api_version="2031-01-01.ginkgo")).status_code == 200
    billing.work(at=datetime.now(UTC))
    assert billing.event("evt_1")["reason"] == "Credits do not depend on moon.eclipsed."
    assert billing.states() == {"evt_1": "ignored"}


def test_without_a_believable_signature_nothing_is_stored(billing: Billing) -> None:
    for header in ("", "t=1,v1=" + "0" * 64, sign(b"other")):
        answer = billing.post(an_event(), header=header)
        assert (answer.status_code, answer.json and answer.get_json()["code"]) == (400, "INVALID_SIGNATURE")
    assert billing.rows(EVENTS) == []


def test_a_thousand_mutants_over_http_are_refused_without_an_error_of_ours(billing: Billing) -> None:
    chance = random.Random(5)
    body = json.dumps(an_event()).encode()
    header = sign(body)
    client = billing.app.test_client()
    for _ in range(1000):
        place = chance.randrange(len(body))
        changed = body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randrange(2) :]
        if changed != body:
            answer = client.post("/webhooks/stripe", data=changed, headers={"Stripe-Signature": header})
            assert answer.status_code == 400
    assert billing.rows(EVENTS) == []


def test_a_body_over_a_mebibyte_is_refused(billing: Billing) -> None:
    answer = billing.post(b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json and answer.get_json()["code"]) == (413, "CONTENT_TOO_LARGE")
    largest = json.dumps(an_event(padding="x" * (1024 * 1024 - 200))).encode()
    assert billing.post(largest).status_code == 200


def test_without_a_secret_stripe_is_asked_to_come_back(app: Flask) -> None:
    with app.app_context():
        SETTINGS.set(app, _without_secrets(app))
        answer = Billing(app, START).post(an_event())
    assert (answer.status_code, answer.json and answer.get_json()["code"]) == (503, "WEBHOOK_NOT_CONFIGURED")


def test_an_outage_of_the_database_is_answered_with_503(billing: Billing) -> None:
    def down(_deliveries: Sequence[Delivery]) -> None:
        raise OperationalError("INSERT", {}, Exception("the server closed the connection"))

    INBOX_WRITER.set(billing.app, InboxWriter(down))
    answer = billing.post(an_event())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    INBOX_WRITER.set(billing.app, InboxWriter(webhook.write))
    assert billing.post(an_event()).status_code == 200


@pytest.mark.database("sqlite")
def test_a_database_that_can_not_be_written_stores_and_acknowledges_nothing(billing: Billing) -> None:
    with transaction() as session:
        session.connection().exec_driver_sql("ALTER TABLE billing_event RENAME TO elsewhere")
    assert billing.post(an_event()).status_code >= 500
    with transaction() as session:
        session.connection().exec_driver_sql("ALTER TABLE elsewhere RENAME TO billing_event")
    db.engine.dispose()
    assert billing.rows(EVENTS) == []


def test_deliveries_that_arrive_together_share_a_commit_and_are_all_stored(billing: Billing) -> None:
    writes: list[int] = []

    def write(deliveries: Sequence[Delivery]) -> None:
        writes.append(len(deliveries))
        webhook.write(deliveries)

    together = InboxWriter(write)
    errors: list[Exception] = []

    def store(number: int) -> None:
        with billing.app.app_context():
            try:
                for turn in range(5):
                    together.store(parse(json.dumps(an_event(id=f"evt_{number}_{turn}")).encode(), START))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(writes) == len(billing.rows(EVENTS)) == 100
    assert len(writes) < 100


def test_one_delivery_that_can_not_be_stored_fails_alone() -> None:
    stored: list[str] = []
    gate = threading.Barrier(2)

    def write(deliveries: Sequence[Delivery]) -> None:
        if len(deliveries) == 1 and deliveries[0].event_id == "first":
            gate.wait()  # the others queue up meanwhile
            gate.wait()
        if any(delivery.event_id == "poison" for delivery in deliveries):
            raise ValueError("poison")
        stored.extend(delivery.event_id for delivery in deliveries)

    together = InboxWriter(write)
    failed: list[str] = []

    def store(event_id: str) -> None:
        try:
            together.store(parse(json.dumps(an_event(id=event_id)).encode(), START))
        except ValueError:
            failed.append(event_id)

    first = threading.Thread(target=store, args=("first",))
    first.start()
    gate.wait()
    others = [threading.Thread(target=store, args=(name,)) for name in ("a", "poison", "b")]
    for thread in others:
        thread.start()
    while len(together._waiting) < 3:
        pass
    gate.wait()
    for thread in (first, *others):
        thread.join()
    assert failed == ["poison"]
    assert sorted(stored) == ["a", "b", "first"]


def _without_secrets(app: Flask) -> Any:
    return replace(SETTINGS.get(app), stripe_webhook_secrets=())
