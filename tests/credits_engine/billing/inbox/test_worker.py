import threading
from collections.abc import Sequence

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.facts import Fact
from credits_engine.billing.inbox import handler
from credits_engine.billing.inbox.worker import LEASE, Worker
from credits_engine.billing.models import ATTEMPTS, CUSTOMERS, FACTS
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Claim, Outcome, State
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.statements import wait_until_somebody_waits


def claim(billing: Billing, name: str = "worker") -> list[Claim]:
    with transaction() as session:
        return inbox.claim(session, name, now=billing.now, lease_ends_at=billing.now + LEASE, most=100)


def test_a_claimed_event_is_left_alone_until_its_lease_runs_out(billing: Billing) -> None:
    billing.deliver(*a_subscriber())
    first = claim(billing, "first")
    assert claim(billing, "second") == []
    billing.now += LEASE
    second = claim(billing, "second")
    assert [each.event_id for each in second] == [each.event_id for each in first]
    assert {each.attempt for each in second} == {2}


def test_a_worker_that_lost_its_claim_changes_nothing(billing: Billing) -> None:
    billing.deliver(a_subscriber()[-1])
    (lost,) = claim(billing, "slow")
    billing.now += LEASE
    (held,) = claim(billing, "fast")
    with pytest.raises(handler.LostClaimError), transaction() as session:
        handler.handle(session, lost, handler.decode(lost), now=billing.now)
    assert billing.rows(FACTS) == billing.rows(CUSTOMERS) == []
    with transaction() as session:
        handler.handle(session, held, handler.decode(held), now=billing.now)
    assert list(billing.states().values()) == ["applied"]


def test_several_workers_share_the_inbox_and_nothing_is_applied_twice(billing: Billing) -> None:
    people = [f"user{number}" for number in range(12)]
    for person in people:
        billing.deliver(*a_subscriber(person))
    done: list[int] = []
    problems: list[BaseException] = []

    def run(name: str) -> None:
        with billing.app.app_context():
            try:
                done.append(Worker(name, lambda: billing.now).work())
            except BaseException as error:
                problems.append(error)

    threads = [threading.Thread(target=run, args=(f"worker{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    billing.work()
    assert problems == []
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert all(billing.user(person) == ("pro", START) for person in people)
    assert billing.rows(ATTEMPTS) == []


@pytest.mark.database("postgresql")
def test_two_events_of_one_customer_wait_for_each_other(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    told_before = len(stripe.events)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    billing.deliver(*stripe.events[told_before:])
    updated, paid, *_ = claim(billing)
    outcomes: list[Outcome] = []

    def apply_second() -> None:
        with billing.app.app_context(), transaction() as session:
            outcomes.append(handler.handle(session, paid, handler.decode(paid), now=billing.now))

    second = threading.Thread(target=apply_second)
    with transaction() as session:
        handler.handle(session, updated, handler.decode(updated), now=billing.now)
        second.start()
        wait_until_somebody_waits()
    second.join()
    assert [outcome.state for outcome in outcomes] == [State.APPLIED]
    assert billing.user("ada") == ("pro", START)
    assert billing.account("ada")["reason"] == "Subscription sub_1 is active and grants pro."


def test_work_ends_when_its_time_is_up(billing: Billing) -> None:
    billing.deliver(*a_subscriber())
    assert Worker("w", lambda: billing.now).work(until=billing.now) == 0
    assert Worker("w", lambda: billing.now).work(most=3) == 3


def test_doubts_are_settled_before_the_transaction_and_stored_with_the_event(billing: Billing) -> None:
    asked: list[str] = []

    def look_up(claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        asked.append(claim.event_id)
        return ()

    billing.deliver(*a_subscriber())
    billing.work(doubts=look_up)
    assert len(asked) >= len(billing.states())
