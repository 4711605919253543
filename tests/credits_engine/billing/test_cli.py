import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from control_plane.platform.runtime import cli_support
from credits_engine.billing.cli import billing_group
from credits_engine.billing.reconciliation.jobs import check
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

Run = Callable[..., Result]


@pytest.fixture
def run(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rollout billing …` on the application of the test."""
    monkeypatch.setattr(cli_support, "application", lambda **_: billing.app)
    return lambda *arguments: CliRunner().invoke(billing_group, arguments)


@pytest.fixture
def filled(billing: Billing) -> Billing:
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


def test_events_are_listed_with_what_waits(filled: Billing, run: Run) -> None:
    result = run("events", "--state", "dead")
    assert result.exit_code == 0
    first, *lines = result.output.splitlines()
    assert first.startswith("0 new, 0 claimed, 4 parked, 1 dead; the oldest waits for 0.0 s.")
    assert len(lines) == 1
    assert "evt_broken" in lines[0]
    document = json.loads(run("events", "--json", "--limit", "3").output)
    assert len(document["events"]) == 3


def test_an_event_and_a_user_are_shown(filled: Billing, run: Run) -> None:
    assert json.loads(run("show", "evt_broken", "--json").output)["state"] == "dead"
    words = run("show", "ada").output
    assert "plan: pro\n" in words
    assert "reason: Subscription sub_1 is active and grants pro.\n" in words
    missing = run("show", "nobody")
    assert (missing.exit_code, missing.output) == (
        1,
        "Error: 'nobody' is neither an event in the inbox nor a user whom one is about.\n",
    )


def test_events_are_replayed_by_name_or_by_state(filled: Billing, run: Run) -> None:
    assert run("replay", "--reason", "x").exit_code == 2
    assert run("replay", "evt_broken", "--state", "dead", "--reason", "x").exit_code == 2
    assert run("replay", "evt_none", "--reason", "x").exit_code == 1
    result = run("replay", "evt_broken", "--reason", "the fix is out")
    assert (result.exit_code, result.output) == (0, "1 events will be applied once more.\n")
    assert filled.states()["evt_broken"] == "new"
    parked = run("replay", "--state", "parked", "--reason", "again", "--json")
    assert len(json.loads(parked.output)["replayed"]) == 4


def test_a_customer_is_linked(filled: Billing, run: Run) -> None:
    result = run("link", "cus_stranger", "grace", "--reason", "asked support")
    assert (result.exit_code, result.output) == (0, "Linked cus_stranger to grace; 4 waiting events will be applied.\n")
    filled.work(at=datetime.now(UTC))
    assert filled.user("grace")[0] == "pro"
    assert run("link", "cus_stranger", "ada", "--reason", "a mistake").exit_code == 1


def test_reconciling_says_what_differs_by_its_exit_code(filled: Billing, run: Run, api: FakeApi) -> None:
    api.stripe.open("cus_ada", "plus_monthly")
    api.stripe.pass_time(START + timedelta(minutes=1))
    result = run("reconcile")
    assert result.exit_code == 1
    assert (
        "1 subscriptions compared, 1 differ.\n  sub_1  missed_state  ada  Stripe has prices plus_monthly"
        in result.output
    )
    assert run("reconcile", "--apply").exit_code == 0
    assert run("reconcile").exit_code == 0
    api.statuses = [400]
    broken = run("reconcile")
    assert (broken.exit_code, "\nBroken off: " in broken.output) == (1, True)


def test_reconciling_without_a_key_says_what_to_set(filled: Billing, run: Run) -> None:
    result = run("reconcile")
    assert (result.exit_code, result.output) == (
        1,
        "Error: Set STRIPE_API_KEY to a restricted key that may read subscriptions.\n",
    )


def test_findings_are_listed_corrected_and_dismissed(billing: Billing, run: Run, api: FakeApi) -> None:
    assert "no time yet" in run("findings").output
    subscription = api.stripe.checkout("ada", "pro_monthly")
    billing.process(api.stripe.events, at=START)
    api.stripe.cancel(subscription, at_once=True)
    gateway = STRIPE_GATEWAY.get(billing.app)
    assert gateway is not None
    check(gateway, START + timedelta(hours=1))
    document = json.loads(run("findings", "--json").output)
    ids = {each["kind"]: str(each["id"]) for each in document["findings"]}
    assert "Stripe has status canceled instead of active" in run("findings").output
    assert "Corrected." not in run("apply", ids["missed_state"], "--reason", "Lost.").output
    assert run("dismiss", ids["missed_event"], "--reason", "Corrected already.").exit_code == 0
    refused = run("apply", ids["missed_event"], "--reason", "Again.")
    assert (refused.exit_code, "is open" in refused.output) == (1, True)
    assert run("findings").output.startswith("0 open;")


def test_what_broke_off_the_comparison_is_said(billing: Billing, run: Run, api: FakeApi) -> None:
    gateway = STRIPE_GATEWAY.get(billing.app)
    assert gateway is not None
    api.statuses = [401]
    check(gateway, START)
    assert "Broken off: Subscriptions: AuthenticationError" in run("findings").output


def test_users_are_merged(filled: Billing, run: Run) -> None:
    run("link", "cus_stranger", "grace", "--reason", "Asked support.")
    filled.work(at=datetime.now(UTC))
    result = run("merge", "ada", "grace", "--reason", "One person.")
    assert (result.exit_code, result.output.startswith("ada is part of grace now.")) == (0, True)
    again = run("merge", "ada", "grace", "--reason", "One person.")
    assert (again.exit_code, "no customer of Stripe's" in again.output) == (1, True)
