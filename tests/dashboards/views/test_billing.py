"""Stripe's events on pages: what waits, why, and applying one that was given up once more."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from credits_engine.billing.inbox import webhook
from credits_engine.billing.reconciliation import jobs
from credits_engine.billing.store import findings, inbox
from credits_engine.billing.store.findings import Finding
from credits_engine.billing.store.inbox import State
from dashboards.badges import STYLES
from dashboards.views import billing
from tests.dashboards.browsing import page_text, read_session, write_session

SignIn = Callable[[str], FlaskClient]
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


def event(number: int) -> bytes:
    document = {
        "id": f"evt_{number}",
        "object": "event",
        "type": "invoice.paid",
        "api_version": "2025-03-31.basil",
        "created": 1_700_000_000 + number,
        "livemode": False,
        "data": {"object": {"id": f"in_{number}", "object": "invoice", "customer": "cus_<b>1</b>"}},
    }
    return json.dumps(document).encode()


@pytest.fixture(autouse=True)
def delivered(app: Flask) -> None:
    now = datetime.now(UTC)
    with write_session(app) as session:
        inbox.add_delivery(session, [webhook.parse(event(number), now) for number in range(60)])


def test_the_inbox_is_listed_in_pages_and_by_state(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    first = olga.get("/billing").text
    assert first.count("/billing/evt_") == 50
    assert "cus_&lt;b&gt;1&lt;/b&gt;" in first
    assert "Older events" in page_text(first)
    assert "No event is in this state." in page_text(olga.get("/billing?state=dead").text)
    assert olga.get("/billing?state=no-such&before=x").text.count("/billing/evt_") == 50


def test_an_owner_has_everything_compared_with_stripe_before_its_time(
    app: Flask, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, now = sign_in("alice"), datetime.now(UTC)
    assert "Never compared" in page_text(alice.get("/billing").text)
    refused = alice.post("/billing/compare", headers=HEADERS, follow_redirects=True)
    assert "Set STRIPE_API_KEY" in page_text(refused.text)
    monkeypatch.setattr(billing, "stripe_gateway", lambda: None)
    with write_session(app) as session:
        findings.update_check(session, now=now, tried_at=now, finished_at=now)
    page = page_text(alice.post("/billing/compare", headers=HEADERS, follow_redirects=True).text)
    assert "It is compared within a minute" in page
    assert "Nothing differs." in page
    with read_session(app) as session:
        assert jobs.is_due(findings.check(session), now)
        assert audit.latest(session)[0].action == "billing.compare"
    assert sign_in("olga").post("/billing/compare", headers=HEADERS).status_code == 403


def test_an_event_is_shown_in_full_and_applied_once_more_with_a_reason(app: Flask, sign_in: SignIn) -> None:
    olga = sign_in("olga")
    page = olga.get("/billing/evt_7").text
    assert "invoice.paid" in page_text(page)
    assert "in_7" in page
    assert "&#34;livemode&#34;: false,\n  &#34;data&#34;: {" in page
    refused = olga.post("/billing/evt_7/replay", data={"reason": " "}, headers=HEADERS, follow_redirects=True)
    assert "a reason is required" in page_text(refused.text)
    data = {"reason": "Stripe was repaired."}
    done = olga.post("/billing/evt_7/replay", data=data, headers=HEADERS, follow_redirects=True)
    assert "It is applied once more within seconds." in page_text(done.text)
    assert "Replay ordered: Stripe was repaired." in page_text(done.text)
    with read_session(app) as session:
        (entry,) = audit.latest(session, subject="stripe:evt_7")
    assert (entry.action, entry.actor) == ("billing.replay", "olga")


def test_a_finding_is_dismissed_by_owners_alone_and_corrected_with_a_key(app: Flask, sign_in: SignIn) -> None:
    now = datetime.now(UTC)
    with write_session(app) as session:
        findings.add(session, [Finding("missed_event", "evt_lost", "ada", "No delivery brought <b>it</b>.")], now=now)
    with read_session(app) as session:
        (finding,) = findings.listed(session, limit=9)
    path, alice = f"/billing/findings/{finding.id}", sign_in("alice")
    assert "No delivery brought &lt;b&gt;it&lt;/b&gt;." in alice.get("/billing").text
    assert "Owners correct or dismiss it." in page_text(sign_in("olga").get("/billing").text)
    data = {"reason": "Known.", "order": "dismiss"}
    assert sign_in("olga").post(path, data=data, headers=HEADERS).status_code == 403
    assert alice.post(path, data=data, headers={**HEADERS, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    refused = alice.post(path, data={**data, "reason": " "}, headers=HEADERS, follow_redirects=True)
    assert "a reason is required" in page_text(refused.text)
    refused = alice.post(path, data={**data, "order": "apply"}, headers=HEADERS, follow_redirects=True)
    assert "STRIPE_API_KEY" in page_text(refused.text)
    done = alice.post(path, data=data, headers=HEADERS, follow_redirects=True)
    assert "Closed without a correction." in page_text(done.text)
    assert "No delivery" not in alice.get("/billing").text
    with read_session(app) as session:
        (entry,) = audit.latest(session, subject="stripe:evt_lost")
    assert (entry.action, entry.actor) == ("billing.finding", "alice")


def test_an_event_that_is_not_there_is_said(sign_in: SignIn) -> None:
    assert sign_in("olga").get("/billing/evt_none", headers=HEADERS).status_code == 404


def test_a_body_is_for_operators(sign_in: SignIn) -> None:
    victor = sign_in("victor")
    assert victor.get("/billing", headers=HEADERS).status_code == 403
    assert victor.get("/billing/evt_1", headers=HEADERS).status_code == 403
    assert victor.post("/billing/evt_1/replay", data={"reason": "x"}, headers=HEADERS).status_code == 403


def test_every_state_has_a_face() -> None:
    assert {f"event.{state.value}" for state in State} <= set(STYLES)
