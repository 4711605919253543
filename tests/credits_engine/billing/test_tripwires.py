from datetime import timedelta

from sqlalchemy import delete, update

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.inbox.worker import ATTEMPTS_MAX
from credits_engine.billing.models import EVENTS
from credits_engine.billing.store import inbox
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe


def test_an_event_whose_end_got_lost_trips_a_wire_instead_of_counting_twice(billing: Billing) -> None:
    billing.process(a_subscriber(), at=START)
    before = billing.final_state()
    assert not tripped(billing, "billing_applied_twice")
    with transaction() as session:
        session.execute(update(EVENTS).values(state="new", attempts=0))
    billing.work()
    assert billing.final_state() == before
    assert tripped(billing, "billing_applied_twice")


def test_two_events_of_one_payment_and_a_replay_trip_no_wire(billing: Billing) -> None:
    events = a_subscriber()
    billing.process(events, at=START)
    with transaction() as session:
        for event in events:
            assert inbox.replay(session, event["id"], now=billing.now, attempts=ATTEMPTS_MAX - 1)
    billing.work()
    assert not tripped(billing, "billing_applied_twice")


def test_a_period_that_would_be_reset_a_second_time_trips_a_wire_and_is_not(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + timedelta(days=3))
    billing.process(stripe.events, at=stripe.now)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    billing.process(stripe.events, at=stripe.now)
    assert len(billing.periods("ada")) == 2
    with transaction() as session:
        session.execute(delete(COUNTERS).where(COUNTERS.c.period_start == stripe.now))
        session.execute(update(COUNTERS).values(period_end=START.replace(month=12)))
        sync_user(session, "ada", now=stripe.now, cause="evt_again")
    assert billing.periods("ada") == [(START, START.replace(month=12), "pro")]
    assert tripped(billing, "billing_reset_twice")
