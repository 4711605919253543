"""What the clock does without any event and without the sweep: the next operation finds things as they should be."""

import threading
from datetime import datetime, timedelta

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.store import facts
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import facts_of
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.statements import wait_until_somebody_waits

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEXT = START.replace(month=12)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)
LEGACY_SERVES = FlagEvaluation(enabled=False, reason="test", revision=1)


def ask(billing: Billing, key: str, amount: int, at: datetime, evaluation: FlagEvaluation = V2_SERVES) -> Receipt:
    billing.now = at
    with transaction() as session:
        operation = Operation("ada", key, Amounts(amount, 0), actor="test")
        return consume(session, operation, now=at, evaluate=lambda _: evaluation)


def test_rights_that_ended_are_gone_at_the_next_operation(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.cancel(subscription)
    billing.process(stripe.events, at=START)
    assert ask(billing, "k1", 5_000, NEXT - timedelta(microseconds=1)).outcome is Outcome.ALLOWED
    refused = ask(billing, "k2", 101, NEXT)
    assert (refused.outcome, refused.served.limits["analysis"]) == (Outcome.DENIED_LIMIT, 100)
    assert refused.shadow.limits["analysis"] == 100
    assert billing.user("ada") == ("free", None)


def test_a_downgrade_counts_at_the_first_operation_of_the_next_period(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.change_price(subscription, "starter_monthly")
    billing.process(stripe.events, at=START)
    assert ask(billing, "k1", 5_000, NEXT - HOUR, LEGACY_SERVES).outcome is Outcome.ALLOWED
    receipt = ask(billing, "k2", 1, NEXT + HOUR)
    assert receipt.served.limits["analysis"] == 1_000
    assert receipt.served.period.start == NEXT


@pytest.mark.parametrize("evaluation", [V2_SERVES, LEGACY_SERVES], ids=["v2", "legacy"])
def test_whoever_has_not_paid_is_refused_for_that_after_the_grace_time(
    billing: Billing, evaluation: FlagEvaluation
) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(NEXT + 2 * HOUR)
    billing.process(stripe.events, at=stripe.now)
    grace_ends = NEXT + HOUR + 5 * DAY
    assert ask(billing, "k1", 1, grace_ends - timedelta(microseconds=1), evaluation).outcome is Outcome.ALLOWED
    refused = ask(billing, "k2", 1, grace_ends, evaluation)
    assert refused.outcome is Outcome.DENIED_STATE
    assert refused.reason.startswith("Payment has been failing since 2026-12-10T09:00:00Z")
    stripe.pass_time(grace_ends + DAY)
    stripe.pay_open_invoice(subscription)
    billing.process(stripe.events, at=stripe.now)
    assert ask(billing, "k3", 1, stripe.now, evaluation).outcome is Outcome.ALLOWED


def test_an_unsold_price_keeps_nobody_from_consuming(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    told_before = len(stripe.events)
    stripe.change_price(subscription, "galaxy_monthly")
    with transaction() as session:
        for fact in facts_of(stripe.events[told_before:]):
            facts.add(session, fact, event_id="evt_unsold")
    assert ask(billing, "k1", 1, NEXT + HOUR).outcome is Outcome.ALLOWED


@pytest.mark.database("postgresql")
def test_an_operation_that_waited_for_a_settlement_goes_by_what_it_settled(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    ask(billing, "k1", 7, START + HOUR)
    told_before = len(stripe.events)
    stripe.pass_time(START + 3 * DAY)
    stripe.change_price(subscription, "starter_monthly", move_anchor=True)
    at = stripe.now + HOUR
    receipts: list[Receipt] = []

    def operate() -> None:
        with billing.app.app_context():
            receipts.append(ask(billing, "k2", 1, at))

    waiting = threading.Thread(target=operate)
    with transaction() as session:
        for fact in facts_of(stripe.events[told_before:]):
            facts.add(session, fact, event_id="evt_test")
        sync_user(session, "ada", now=at, cause="evt_test")
        waiting.start()
        wait_until_somebody_waits()
    waiting.join()
    (receipt,) = receipts
    assert (receipt.outcome, receipt.served.limits["analysis"]) == (Outcome.ALLOWED, 1_000)
    assert receipt.served.period.start == stripe.now
    assert billing.periods("ada")[-1][2] == "starter"
    assert billing.used("ada") == Amounts(1, 0)
