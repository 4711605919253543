import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from control_plane.platform import signals
from control_plane.platform.database import reading, transaction
from credits_engine.billing import applying, sweep
from credits_engine.billing.facts import Fact
from credits_engine.billing.settlement import settle
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Claim, Outcome, State
from credits_engine.billing.store.tables import ATTEMPTS, CUSTOMERS, FACTS
from credits_engine.billing.worker import ATTEMPTS_MAX, LEASE, Worker
from credits_engine.engines.plans import CATALOGUE, Catalogue, CreditPlan
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.virtual_stripe import GENERATIONS, NEW, START, Json, VirtualStripe

MINUTE = timedelta(minutes=1)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it and nothing is cleaned up after it."""


def a_subscriber(user: str = "ada", generation: str = NEW) -> list[Json]:
    stripe = VirtualStripe(generation, name=user)
    stripe.checkout(user, "pro_monthly")
    return stripe.events


def failures(office: Office) -> tuple[int, int]:
    """Bad and all outcomes that the guard would see."""
    signals.flush(office.now)
    with reading() as session:
        counts = [c for s, c in signals.totals(session).items() if s.signal == "billing_webhook_failure"]
    return sum(count.bad for count in counts), sum(count.total for count in counts)


def claim(office: Office, name: str = "worker") -> list[Claim]:
    with transaction() as session:
        return inbox.claim(session, name, now=office.now, lease_ends_at=office.now + LEASE, most=100)


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, times: int = 1_000_000) -> None:
    """Let applying fail after its effects were written and before they are committed."""
    real = inbox.finish
    left = iter(range(times))

    def finish(session: Session, claim: Claim, outcome: Outcome, *, now: datetime) -> bool:
        if outcome.state is not State.DEAD and next(left, None) is not None:
            raise error
        return real(session, claim, outcome, now=now)

    monkeypatch.setattr(inbox, "finish", finish)


def test_a_claimed_event_is_left_alone_until_its_lease_runs_out(office: Office) -> None:
    office.deliver(*a_subscriber())
    first = claim(office, "first")
    assert claim(office, "second") == []
    office.now += LEASE
    second = claim(office, "second")
    assert [each.event_id for each in second] == [each.event_id for each in first]
    assert {each.attempt for each in second} == {2}


def test_a_worker_that_lost_its_claim_changes_nothing(office: Office) -> None:
    office.deliver(a_subscriber()[-1])
    (lost,) = claim(office, "slow")
    office.now += LEASE
    (held,) = claim(office, "fast")
    with pytest.raises(applying.LostClaimError), transaction() as session:
        applying.apply(session, lost, applying.read(lost), now=office.now)
    assert office.rows(FACTS) == office.rows(CUSTOMERS) == []
    with transaction() as session:
        applying.apply(session, held, applying.read(held), now=office.now)
    assert list(office.states().values()) == ["applied"]


def test_a_worker_killed_between_effect_and_end_leaves_nothing_behind(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.deliver(*a_subscriber())
    before = office.final_state()
    with monkeypatch.context() as patch:
        breaking(patch, Killed())
        with pytest.raises(Killed):
            office.work()
    assert office.final_state() == before
    office.work(at=office.now + LEASE)
    assert set(office.states().values()) <= {"applied", "superseded"}
    assert office.user("ada") == ("pro", START)


def test_a_failure_is_tried_again_with_growing_pauses_and_then_set_aside(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.deliver(a_subscriber()[-1])
    breaking(monkeypatch, RuntimeError("a defect of ours"))
    pauses = []
    for _ in range(ATTEMPTS_MAX):
        office.work()
        next_at = next(iter(office.rows(inbox.EVENTS)))["next_at"]
        pauses.append((next_at - office.now).total_seconds())
        office.now = next_at
    assert pauses[:4] == [0.75, 1.5, 3.0, 6.0]
    assert pauses == [*sorted(pauses[:-1]), 0.0]
    (row,) = office.rows(inbox.EVENTS)
    assert (row["state"], row["attempts"]) == ("dead", ATTEMPTS_MAX)
    assert row["reason"] == "RuntimeError: a defect of ours"
    assert [each["number"] for each in office.rows(ATTEMPTS)] == list(range(1, ATTEMPTS_MAX + 1))
    assert failures(office) == (1, 1)


def test_the_pause_has_a_random_half_and_an_end() -> None:
    assert Worker("w", lambda: START, chance=lambda: 0.0)._backoff(9) == 128.0
    assert Worker("w", lambda: START, chance=lambda: 1.0)._backoff(9) == 256.0
    assert Worker("w", lambda: START, chance=lambda: 1.0)._backoff(40) == 3600.0


def test_an_outage_of_the_database_counts_for_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.deliver(a_subscriber()[-1])
    with monkeypatch.context() as patch:
        breaking(patch, OperationalError("", {}, Exception("gone")))
        for _ in range(3 * ATTEMPTS_MAX):
            office.work(at=office.now + MINUTE)
    assert list(office.states().values()) == ["new"]
    office.work(at=office.now + MINUTE)
    assert list(office.states().values()) == ["applied"]
    assert failures(office) == (0, 1)


def test_an_event_that_takes_its_worker_along_every_time_is_given_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.deliver(a_subscriber()[-1])
    with monkeypatch.context() as patch:
        breaking(patch, Killed())
        for _ in range(ATTEMPTS_MAX):
            with pytest.raises(Killed):
                office.work(at=office.now + LEASE)
    office.work(at=office.now + LEASE)
    (row,) = office.rows(inbox.EVENTS)
    assert (row["state"], row["reason"]) == ("dead", f"Given up: {ATTEMPTS_MAX} attempts ended with their worker.")


def test_a_poisonous_event_stops_nobody_else(office: Office) -> None:
    poison = a_subscriber("eve")[0]
    poison["data"]["object"]["status"] = "enlightened"
    office.deliver(poison, *a_subscriber("ada"))
    office.work()
    assert office.event(poison["id"])["state"] == "dead"
    assert "unknown_status: Subscription sub_eve1 has the status 'enlightened'" in office.event(poison["id"])["reason"]
    assert office.user("ada") == ("pro", START)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["customer.subscription.updated", "invoice.paid"])
def test_a_missing_period_is_set_aside_and_never_silently_passed(office: Office, generation: str, kind: str) -> None:
    event = next(each for each in a_subscriber(generation=generation) if each["type"] == kind)
    stated = event["data"]["object"]
    for part in (stated, *stated.get("items", {}).get("data", ())):
        part.pop("current_period_start", None)
    for line in stated.get("lines", {}).get("data", ()):
        del line["period"]
    office.deliver(event)
    office.work()
    assert office.event(event["id"])["state"] == "dead"
    assert office.event(event["id"])["reason"].startswith("no_period: ")
    assert failures(office) == (1, 1)


def test_events_of_a_stranger_wait_until_somebody_says_who_it_is(office: Office) -> None:
    *others, checkout = a_subscriber()
    office.deliver(*others)
    office.work()
    waiting = {each["type"]: office.event(each["id"]) for each in others}
    assert {row["state"] for kind, row in waiting.items() if kind != "invoice_payment.paid"} == {"parked"}
    assert waiting["invoice.paid"]["waiting_for"] == "customer:cus_ada"
    assert failures(office)[0] == 0
    office.deliver(checkout)
    office.work(at=office.now + MINUTE)
    assert set(office.states().values()) <= {"applied", "superseded"}
    assert office.user("ada") == ("pro", START)


def test_an_unknown_price_waits_for_the_catalogue_and_is_no_free_plan(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.change_price(subscription, "galaxy_monthly")
    office.tell(stripe.events, at=START)
    (parked,) = [row for row in office.rows(inbox.EVENTS) if row["state"] == "parked"]
    assert parked["waiting_for"] == "price:galaxy_monthly"
    assert "galaxy_monthly, which buys no plan we know" in parked["reason"]
    assert office.user("ada")[0] == "starter"
    assert failures(office)[0] == 1
    assert sweep.release_priced(office.now) == 0
    plus = CATALOGUE.plan("plus")
    galaxy = CreditPlan("galaxy", "Galaxy", v2=plus.v2, legacy=plus.legacy, price_keys=("galaxy_monthly",))
    for module in ("settlement", "sweep"):
        monkeypatch.setattr(f"credits_engine.billing.{module}.CATALOGUE", Catalogue((*CATALOGUE, galaxy)))
    monkeypatch.setattr("credits_engine.operations.books.CATALOGUE", Catalogue((*CATALOGUE, galaxy)))
    assert sweep.release_priced(office.now) == 1
    office.work()
    assert office.user("ada")[0] == "galaxy"
    assert "parked" not in office.states().values()


def test_a_customer_who_would_become_somebody_else_is_set_aside(office: Office) -> None:
    office.tell(a_subscriber(), at=START)
    theft = VirtualStripe(name="x")
    theft.checkout("mallory", "pro_monthly", customer="cus_ada")
    office.tell(theft.events[-1:], at=START)
    assert office.event(theft.events[-1]["id"])["state"] == "dead"
    assert "Customer cus_ada is user ada" in office.event(theft.events[-1]["id"])["reason"]


def test_an_older_state_is_recorded_as_superseded(office: Office) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + timedelta(days=2))
    stripe.change_price(subscription, "plus_monthly")
    newest = next(each for each in reversed(stripe.events) if each["type"] == "customer.subscription.updated")
    office.tell([stripe.events[-1], newest], at=stripe.now)
    office.tell(stripe.events, at=stripe.now + MINUTE)
    older = [each for each in stripe.events if each["type"].startswith("customer.sub") and each is not newest]
    assert {office.states()[each["id"]] for each in older} == {"superseded"}
    assert "known as of 2026-11-12T08:00:00Z, which is later" in office.event(older[0]["id"])["reason"]
    assert office.user("ada")[0] == "plus"


def test_several_workers_share_the_inbox_and_nothing_is_applied_twice(office: Office) -> None:
    people = [f"user{number}" for number in range(12)]
    for person in people:
        office.deliver(*a_subscriber(person))
    done: list[int] = []
    problems: list[BaseException] = []

    def run(name: str) -> None:
        with office.app.app_context():
            try:
                done.append(Worker(name, lambda: office.now).work())
            except BaseException as error:
                problems.append(error)

    threads = [threading.Thread(target=run, args=(f"worker{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    office.work()
    assert problems == []
    assert set(office.states().values()) <= {"applied", "superseded"}
    assert all(office.user(person) == ("pro", START) for person in people)
    assert office.rows(ATTEMPTS) == []


@pytest.mark.database("postgresql")
def test_two_events_of_one_customer_wait_for_each_other(office: Office) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    office.tell(stripe.events, at=START)
    told_before = len(stripe.events)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    office.deliver(*stripe.events[told_before:])
    updated, paid, *_ = claim(office)
    outcomes: list[Outcome] = []

    def apply_second() -> None:
        with office.app.app_context(), transaction() as session:
            outcomes.append(applying.apply(session, paid, applying.read(paid), now=office.now))

    second = threading.Thread(target=apply_second)
    with transaction() as session:
        applying.apply(session, updated, applying.read(updated), now=office.now)
        second.start()
        office.wait_until_somebody_waits()
    second.join()
    assert [outcome.state for outcome in outcomes] == [State.APPLIED]
    assert office.user("ada") == ("pro", START)
    assert office.account("ada")["reason"] == "Subscription sub_1 is active and grants pro."


def test_a_replay_gets_one_attempt_and_then_stays_where_it_was(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    event = a_subscriber()[-1]
    office.deliver(event)
    with monkeypatch.context() as patch:
        breaking(patch, RuntimeError("a defect of ours"))
        while office.event(event["id"])["state"] != "dead":
            office.work(at=office.now + timedelta(hours=1))
        with transaction() as session:
            assert inbox.replay(session, event["id"], now=office.now, attempts=ATTEMPTS_MAX - 1)
        office.work()
        assert office.event(event["id"])["state"] == "dead"
    with transaction() as session:
        assert inbox.replay(session, event["id"], now=office.now, attempts=ATTEMPTS_MAX - 1)
    office.work()
    assert office.event(event["id"])["state"] == "applied"
    assert failures(office) == (1, 1)


def test_bodies_are_dropped_after_ninety_days_and_ids_are_kept(office: Office) -> None:
    events = a_subscriber()
    office.tell(events, at=START)
    assert sweep.forget_bodies(START + timedelta(days=90)) == 0
    assert sweep.forget_bodies(START + timedelta(days=91)) == len(events)
    before = office.final_state()
    office.tell(events, at=START + timedelta(days=92))
    assert office.final_state() == before


def test_work_ends_when_its_time_is_up(office: Office) -> None:
    office.deliver(*a_subscriber())
    assert Worker("w", lambda: office.now).work(until=office.now) == 0
    assert Worker("w", lambda: office.now).work(most=3) == 3


def test_doubts_are_settled_before_the_transaction_and_stored_with_the_event(office: Office) -> None:
    asked: list[str] = []

    def doubts(claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        asked.append(claim.event_id)
        return ()

    office.deliver(*a_subscriber())
    office.work(doubts=doubts)
    assert len(asked) >= len(office.states())


def tripped(office: Office, signal: str) -> bool:
    """Whether the guard would see this tripwire."""
    signals.flush(office.now)
    with reading() as session:
        return any(series.signal == signal and count.bad for series, count in signals.totals(session).items())


def test_an_event_whose_end_got_lost_trips_a_wire_instead_of_counting_twice(office: Office) -> None:
    office.tell(a_subscriber(), at=START)
    before = office.final_state()
    assert not tripped(office, "billing_applied_twice")
    with transaction() as session:
        session.execute(update(inbox.EVENTS).values(state="new", attempts=0))
    office.work()
    assert office.final_state() == before
    assert tripped(office, "billing_applied_twice")


def test_two_events_of_one_payment_and_a_replay_trip_no_wire(office: Office) -> None:
    events = a_subscriber()
    office.tell(events, at=START)
    with transaction() as session:
        for event in events:
            assert inbox.replay(session, event["id"], now=office.now, attempts=ATTEMPTS_MAX - 1)
    office.work()
    assert not tripped(office, "billing_applied_twice")


def test_a_period_that_would_be_reset_a_second_time_trips_a_wire_and_is_not(office: Office) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + timedelta(days=3))
    office.tell(stripe.events, at=stripe.now)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    office.tell(stripe.events, at=stripe.now)
    assert len(office.periods("ada")) == 2
    with transaction() as session:
        session.execute(delete(COUNTERS).where(COUNTERS.c.period_start == stripe.now))
        session.execute(update(COUNTERS).values(period_end=START.replace(month=12)))
        settle(session, "ada", now=stripe.now, cause="evt_again")
    assert office.periods("ada") == [(START, START.replace(month=12), "pro")]
    assert tripped(office, "billing_reset_twice")
