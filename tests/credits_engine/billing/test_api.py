from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import telemetry
from credits_engine.billing.models import EVENTS
from credits_engine.billing.reconciliation.jobs import check
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from tests import people
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe


@pytest.fixture
def cast(billing: Billing) -> dict[str, FlaskClient]:
    people.invite(billing.app, billing.now)
    return {name: people.signed_in(billing.app, name) for name in people.CAST}


@pytest.fixture
def filled(billing: Billing) -> Billing:
    """An inbox with a subscriber, a stranger and a broken event."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    stripe.open("cus_stranger", "pro_monthly")
    broken = {**stripe.events[0], "id": "evt_broken", "data": {"object": {"id": "sub_9", "object": "subscription"}}}
    billing.process([*stripe.events, broken], at=START)
    return billing


@pytest.fixture
def api(billing: Billing) -> Iterator[FakeApi]:
    with fake_api.serving(VirtualStripe()) as found:
        STRIPE_GATEWAY.set(billing.app, connect(KEY, base_url=found.url))
        yield found


def test_nobody_reads_billing_without_a_role(billing: Billing) -> None:
    stranger = billing.app.test_client()
    for path in ("", "/events", "/events/evt_1", "/users/ada", "/findings"):
        assert stranger.get(f"/api/billing{path}").status_code == 401
    for path in (
        "/events/evt_1/replay",
        "/replay/dead",
        "/customers/cus_1/link",
        "/reconcile",
        "/users/ada/merge",
        "/findings/1/apply",
        "/findings/1/dismiss",
    ):
        assert stranger.post(f"/api/billing{path}", json={"reason": "x"}).status_code == 401


def test_the_summary_counts_what_waits(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    document = cast["victor"].get("/api/billing").json
    assert document is not None
    assert document["waiting"]["dead"] == 1
    assert document["waiting"]["parked"] > 0
    assert document["waiting"]["new"] == 0
    assert document["oldestUnappliedSeconds"] == 0


def test_events_are_listed_by_state_a_page_at_a_time(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    numbers: list[int] = []
    before = 0
    while True:
        document = cast["victor"].get(f"/api/billing/events?limit=4&before={before}").json
        assert document is not None
        numbers += [event["number"] for event in document["events"]]
        if document["next"] is None:
            break
        before = document["next"]
    assert numbers == sorted((row["id"] for row in filled.rows(EVENTS)), reverse=True)
    dead = cast["victor"].get("/api/billing/events?state=dead").json
    assert dead is not None
    assert [event["eventId"] for event in dead["events"]] == ["evt_broken"]
    assert "body" not in dead["events"][0]


def test_wrong_parameters_are_refused_in_words(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    for path, code in (
        ("/events?state=lost", "UNKNOWN_STATE"),
        ("/events?limit=-1", "INVALID_NUMBER"),
        ("/events?before=²", "INVALID_NUMBER"),
        ("/events/evt_none", None),
        ("/users/nobody", "NO_BILLING"),
    ):
        answer = cast["olga"].get(f"/api/billing{path}")
        assert answer.json is not None
        assert answer.status_code in (404, 422)
        assert answer.get_json()["code"] == (code or "EVENT_NOT_FOUND")
    assert cast["olga"].post("/api/billing/replay/applied", json={"reason": "x"}).status_code == 422
    assert cast["olga"].post("/api/billing/replay/dead", json={}).status_code == 422


def test_an_event_is_shown_with_its_body_and_attempts_to_operators_only(
    filled: Billing, cast: dict[str, FlaskClient]
) -> None:
    assert cast["victor"].get("/api/billing/events/evt_broken").status_code == 403
    document = cast["olga"].get("/api/billing/events/evt_broken").json
    assert document is not None
    assert document["body"]["id"] == "evt_broken"
    assert document["history"][0]["outcome"].startswith("unknown_status: ")
    assert document["facts"] == []


def test_a_user_is_shown_with_what_they_are_entitled_to(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    document = cast["victor"].get("/api/billing/users/ada").json
    assert document is not None
    assert (document["plan"], document["customers"], document["blocked"]) == ("pro", ["cus_ada"], None)
    assert document["reason"] == "Subscription sub_1 is active and grants pro."
    assert {event["customer"] for event in document["events"]} == {"cus_ada"}


def test_replays_are_audited_and_done_by_a_worker(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    answer = cast["olga"].post("/api/billing/events/evt_broken/replay", json={"reason": "the fix is out"})
    assert (answer.status_code, answer.json) == (202, {"replayed": ["evt_broken"]})
    assert filled.states()["evt_broken"] == "new"
    filled.work(at=clock.now())
    assert filled.states()["evt_broken"] == "dead"
    with read_only() as session:
        (entry,) = audit.latest(session, subject="stripe:evt_broken")
    assert (entry.actor, entry.action, entry.reason) == ("olga", "billing.replay", "the fix is out")
    everything = cast["olga"].post("/api/billing/replay/dead", json={"reason": "again"})
    assert everything.json == {"replayed": ["evt_broken"]}


def test_an_owner_says_who_a_customer_is(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    body = {"userId": "grace", "reason": "asked support"}
    assert cast["olga"].post("/api/billing/customers/cus_stranger/link", json=body).status_code == 403
    answer = cast["alice"].post("/api/billing/customers/cus_stranger/link", json=body)
    assert answer.json is not None
    assert answer.get_json()["released"] > 0
    filled.work(at=clock.now())
    assert filled.user("grace")[0] == "pro"
    assert "parked" not in filled.states().values()
    taken = cast["alice"].post("/api/billing/customers/cus_ada/link", json=body)
    assert (taken.status_code, taken.json and taken.get_json()["code"]) == (409, "CUSTOMER_LINKED")


def test_reconciling_needs_a_key_and_reports(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    answer = cast["alice"].post("/api/billing/reconcile", json={})
    assert (answer.status_code, answer.json and answer.get_json()["code"]) == (409, "NO_STRIPE_KEY")


def test_reconciling_over_http_finds_and_corrects(filled: Billing, cast: dict[str, FlaskClient], api: FakeApi) -> None:
    api.stripe.open("cus_ada", "plus_monthly")
    found = cast["alice"].post("/api/billing/reconcile", json={}).json
    assert found is not None
    assert (found["compared"], [each["corrected"] for each in found["findings"]]) == (1, [False])
    corrected = cast["alice"].post("/api/billing/reconcile", json={"apply": True}).json
    assert corrected is not None
    assert [(each["kind"], each["corrected"]) for each in corrected["findings"]] == [("missed_state", True)]
    api.statuses = [400] * 10
    assert cast["alice"].post("/api/billing/reconcile", json={}).status_code == 502


def test_the_metrics_tell_what_waits_and_what_ended(filled: Billing) -> None:
    text = telemetry.exposition().decode()
    assert 'rollout_billing_waiting{state="dead"} 1.0' in text
    assert "rollout_billing_oldest_unapplied_seconds 0.0" in text
    assert 'rollout_billing_finished_total{state="applied"}' in text
    assert "rollout_billing_lag_seconds_bucket" in text
    assert 'rollout_billing_deliveries_total{answer="bad_signature"}' in text


def test_an_owner_corrects_a_finding_and_dismisses_another(
    billing: Billing, cast: dict[str, FlaskClient], api: FakeApi
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    billing.process(api.stripe.events, at=START)
    api.stripe.cancel(subscription, at_once=True)
    api.stripe.refund(subscription)
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None
    check(gateway, START + timedelta(hours=1))
    document = cast["victor"].get("/api/billing/findings").json
    assert document is not None
    ids = {each["kind"]: each["id"] for each in document["findings"]}
    assert {"missed_event", "missed_state"} <= set(ids)
    assert document["comparedAt"] == (START + timedelta(hours=1)).isoformat()
    for name, status in (("victor", 403), ("olga", 403), ("alice", 200)):
        path = f"/api/billing/findings/{ids['missed_state']}/apply"
        assert cast[name].post(path, json={"reason": "Lost."}).status_code == status, name
    path = f"/api/billing/findings/{ids['missed_event']}"
    assert cast["alice"].post(f"{path}/dismiss", json={}).status_code == 422
    assert cast["alice"].post(f"{path}/dismiss", json={"reason": "Known."}).status_code == 200
    again = cast["alice"].post(f"{path}/apply", json={"reason": "Again."})
    assert (again.status_code, again.json and again.get_json()["code"]) == (404, "FINDING_NOT_FOUND")


def test_an_owner_merges_two_users(filled: Billing, cast: dict[str, FlaskClient]) -> None:
    stripe = VirtualStripe(name="eve")
    stripe.checkout("eve", "starter_monthly")
    filled.process(stripe.events, at=START)
    body = {"into": "eve", "reason": "One person."}
    for name, status in (("victor", 403), ("olga", 403), ("alice", 200)):
        answer = cast[name].post("/api/billing/users/ada/merge", json=body)
        assert answer.status_code == status, name
    assert answer.json is not None
    assert (answer.get_json()["userId"], answer.get_json()["into"]) == ("ada", "eve")
    assert filled.user("eve")[0] == "pro"
    assert cast["alice"].post("/api/billing/users/ada/merge", json=body).status_code == 404
