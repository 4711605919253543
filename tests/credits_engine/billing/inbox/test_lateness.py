"""Events that come after the clock has gone on by itself: what they tell still ends where it would have on time."""

from datetime import datetime, timedelta

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEXT = START.replace(month=12)
MOVED = NEXT - 3 * HOUR
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


@pytest.fixture
def late(billing: Billing) -> VirtualStripe:
    """Ada used some of her plan; hours before its end she moved to a dearer one, of which we hear nothing yet.

    Meanwhile the clock opens the next period by the anchor that it knows.
    """
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "k1", 700, START + DAY)
    stripe.pass_time(MOVED)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    assert period_sweep.sync_due(NEXT + HOUR)
    assert billing.periods("ada")[-1][0] == NEXT
    return stripe


def take(billing: Billing, key: str, amount: int, at: datetime) -> None:
    billing.now = at
    with transaction() as session:
        operation = Operation("ada", key, Amounts(amount, 0), actor="test")
        assert consume(session, operation, now=at, evaluate=lambda _: V2_SERVES).charged["analysis"] == amount


@pytest.mark.parametrize("hours", [2, 72])
def test_a_new_anchor_counts_from_when_it_was_paid_where_nothing_was_used_since(
    billing: Billing, late: VirtualStripe, hours: int
) -> None:
    billing.process(late.events, at=NEXT + hours * HOUR)
    assert billing.periods("ada") == [(START, MOVED, "starter"), (MOVED, MOVED.replace(year=2027, month=1), "pro")]
    assert billing.used("ada") == Amounts(0, 0)
    assert [row["type"] for row in billing.journal("ada")].count("period_close") == 1
    before = billing.final_state()
    billing.process(late.events, at=NEXT + (hours + 1) * HOUR)
    assert billing.final_state() == before


def test_what_was_used_since_stays_where_it_was_decided_and_is_not_given_back(
    billing: Billing, late: VirtualStripe
) -> None:
    take(billing, "k2", 40, NEXT + 2 * HOUR)
    billing.process(late.events, at=NEXT + 3 * HOUR)
    assert [period[:2] for period in billing.periods("ada")] == [
        (START, NEXT),
        (NEXT, NEXT.replace(year=2027, month=1)),
    ]
    assert billing.used("ada") == Amounts(40, 0)
    assert "period_close" not in [row["type"] for row in billing.journal("ada")]
    with transaction() as session:
        assert reconcile(session).clean


def test_an_upgrade_told_after_its_period_ended_leaves_the_limits_it_had(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    stripe.pass_time(MOVED)
    stripe.change_price(subscription, "pro_monthly")
    assert period_sweep.sync_due(NEXT + HOUR)
    billing.process(stripe.events, at=NEXT + 2 * HOUR)
    assert [plan for _, _, plan in billing.periods("ada")] == ["pro", "pro"]
