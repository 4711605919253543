"""The books are held against the journal all the time, and what v2 puts at stake is measured."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from control_plane import rollouts
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Phase, Plan, Position, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime.hourly import HOUR, LAST_HOURS
from control_plane.platform.settings import SETTINGS
from control_plane.rollouts import store
from control_plane.rollouts.blast_radius import BlastRadius
from control_plane.rollouts.sample_ratio import SampleRatio
from control_plane.signal_counts import Counts
from credits_engine.administration import corrections
from credits_engine.administration.corrections import Adjustment
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.operations.consumption import Engines, FlagEvaluation, Operation, consume
from credits_engine.reconciliation import invariants
from credits_engine.store import guard_queries
from credits_engine.store.tables import COUNTERS, JOURNAL, USERS
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW


def doubling(book: Book, request: Request) -> Decision:
    """v2 with a defect: it charges twice what was asked for."""
    decision = v2.decide(book, request)
    return replace(decision, charged=decision.charged + decision.charged)


def tripped(consumer: Consumer) -> dict[str, Counts]:
    """Return the counts of the tripwires."""
    signals.flush(consumer.now)
    with read_only() as session:
        totals = signals.totals(session)
    return {name: totals[SeriesKey(name)] for name in (invariants.DIFFERENCE, invariants.DOUBLE_CHARGE)}


def test_sound_books_trip_nothing(consumer: Consumer) -> None:
    consumer.v2 = True
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    assert invariants.check(consumer.now) == []
    assert tripped(consumer) == {invariants.DIFFERENCE: Counts(0, 1), invariants.DOUBLE_CHARGE: Counts(0, 1)}


def test_a_book_that_is_not_what_the_journal_adds_up_to_trips_the_wire(consumer: Consumer) -> None:
    consumer.v2 = True
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    with transaction() as session:
        session.execute(update(COUNTERS).values(used=Amounts(analysis=3)))
    assert [total.user_id for total in invariants.check(consumer.now)] == ["ada"]
    assert tripped(consumer)[invariants.DIFFERENCE] == Counts(1, 1)


def test_a_key_that_was_charged_twice_trips_the_other_wire(consumer: Consumer) -> None:
    consumer.v2 = True
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    again = [column for column in JOURNAL.c if column.name != "id"]
    with transaction() as session:
        session.execute(JOURNAL.insert().from_select(again, select(*again)))
    invariants.check(consumer.now)
    assert tripped(consumer)[invariants.DOUBLE_CHARGE] == Counts(1, 1)


def test_the_check_goes_round_page_by_page(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    for _ in range(4):
        assert invariants.check(consumer.now) == []


def test_what_v2_puts_at_stake_is_counted_since_an_instant(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k0", analysis=2)
    consumer.v2 = True
    for user in ("ada", "bob"):
        consumer.take(consumer.user(user), "k1", analysis=2)
        consumer.take(user, "k2", roast=1)
    with read_only() as session:
        assert guard_queries.impact(session, consumer.now) == BlastRadius(2, 4, 0)
        assert guard_queries.impact(session, consumer.now + timedelta(seconds=1)) == BlastRadius()


def at_step(phase: int, step: int = 0) -> Rollout:
    """Return the guide's rollout at this step, for a year and watched."""
    with transaction() as session:
        if store.load(session, FLAG) is None:
            rollouts.plan(session, FLAG, default_plan(NOW - timedelta(days=30)), ChangeContext(NOW, "test", "test"))
        found = rollouts.find(session, FLAG)
        after = replace(found, position=Position(phase, step), version=found.version + 1)
        assert store.compare_and_set(session, after, expected_version=found.version)
        return after


def stake(consumer: Consumer) -> Counts:
    invariants.check(consumer.now)
    signals.flush(consumer.now)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(invariants.AT_RISK), Counts(0, 0))


def test_credits_that_v2_charges_differently_without_a_reason_are_at_risk(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k0", analysis=1)
    assert stake(consumer) == Counts(0, 0), "nobody is exposed"
    at_step(3)
    consumer.v2, consumer.engines = True, Engines(v2=doubling)
    most = SETTINGS.get(consumer.app).credits_at_risk_max
    consumer.user("bob", plan="custom")
    consumer.take("bob", "k1", analysis=most)
    assert stake(consumer) == Counts(0, 1), "a budget may be used up"
    consumer.take("bob", "k2", analysis=1)
    assert stake(consumer) == Counts(1, 2)


def test_the_budget_of_the_alert_counts_before_the_one_of_the_settings(consumer: Consumer) -> None:
    at_step(3)
    consumer.v2, consumer.engines = True, Engines(v2=doubling)
    consumer.take(consumer.user("bob", plan="custom"), "k1", analysis=3)
    signals.set_budgets({invariants.AT_RISK: 3})
    assert stake(consumer) == Counts(0, 1)
    signals.set_budgets({invariants.AT_RISK: 2})
    assert stake(consumer) == Counts(1, 2)


def consume_for(consumer: Consumer, users: int, *, reason: str, signed_up_days_ago: int = 90, named: str = "u") -> None:
    """Operations of that many users, for whom the flag gave this reason."""
    evaluation = FlagEvaluation(enabled="inside" in reason, reason=reason, revision=1)
    for number in range(users):
        user = consumer.user(f"{named}{number}")
        with transaction() as session:
            signed_up_at = consumer.now - timedelta(days=signed_up_days_ago)
            session.execute(update(USERS).where(USERS.c.user_id == user).values(signed_up_at=signed_up_at))
            consume(session, Operation(user, "k", Amounts(1)), now=consumer.now, evaluate=lambda _: evaluation)


def split(rollout: Rollout) -> SampleRatio | None:
    with read_only() as session:
        return guard_queries.sample_ratio(session, rollout, NOW)


def test_of_a_percentage_those_are_counted_whom_it_decided(consumer: Consumer) -> None:
    consume_for(consumer, 3, reason="SPLIT: everyone_inside", named="in")
    consume_for(consumer, 9, reason="DEFAULT: default_off", named="out")
    consume_for(consumer, 4, reason="TARGETING_MATCH: beta_member", named="beta")
    consume_for(consumer, 2, reason="TARGETING_MATCH: denied", named="denied")
    assert split(at_step(3, 1)) == SampleRatio(3, 12, 0.25)
    assert split(at_step(1)) is None
    assert split(at_step(3, 3)) is None, "everybody is in"


def test_of_the_newcomers_only_newcomers_count(consumer: Consumer) -> None:
    consume_for(consumer, 2, reason="SPLIT: new_signup_inside", signed_up_days_ago=3, named="in")
    consume_for(consumer, 5, reason="DEFAULT: default_off", signed_up_days_ago=3, named="out")
    consume_for(consumer, 7, reason="DEFAULT: default_off", signed_up_days_ago=300, named="old")
    assert split(at_step(2, 0)) == SampleRatio(2, 7, 0.1)


@pytest.mark.parametrize(
    ("steps", "before", "ratio"),
    [((50,), False, None), ((100,), False, SampleRatio(3, 12, 0.25)), ((100,), True, None)],
    ids=["half of a cohort", "a whole cohort", "newcomers beside a cohort"],
)
def test_a_percentage_says_nothing_while_attributes_take_more_from_one_side_of_it(
    consumer: Consumer, steps: tuple[int, ...], before: bool, ratio: SampleRatio | None
) -> None:
    consume_for(consumer, 3, reason="SPLIT: everyone_inside", signed_up_days_ago=3, named="in")
    consume_for(consumer, 9, reason="DEFAULT: default_off", signed_up_days_ago=3, named="out")
    pro = (Constraint("plan", Operator.IN, ("pro",)),)
    cohort = Phase("pro", "Pro", "attributes", steps, timedelta(0), constraints=pro)
    *_, newcomers, everyone = default_plan(NOW - timedelta(days=30)).phases
    plan = Plan((cohort, newcomers if before else everyone), NOW - timedelta(days=30))
    with transaction() as session:
        rollouts.plan(session, FLAG, plan, ChangeContext(NOW, "test", "test"))
    assert split(at_step(1, 1)) == ratio


def test_two_periods_at_once_trip_a_wire_of_their_own(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    invariants.check_periods(consumer.now)
    row = select(COUNTERS).where(COUNTERS.c.user_id == "ada")
    with transaction() as session:
        opened = dict(session.execute(row).mappings().one())
        session.execute(COUNTERS.insert().values(opened | {"period_start": consumer.now}))
    invariants.check_periods(consumer.now)
    signals.flush(consumer.now)
    with read_only() as session:
        assert signals.totals(session)[SeriesKey(invariants.OVERLAP)] == Counts(1, 2)


def corrected(consumer: Consumer, at: datetime) -> Counts:
    invariants.count_corrections(at)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(invariants.CORRECTED), Counts(0, 0))


def give_back(consumer: Consumer, user: str, key: str | None = None) -> None:
    evaluation = FlagEvaluation(enabled=True, reason="test", revision=1)
    with transaction() as session:
        corrections.adjust(
            session,
            Adjustment(user, Amounts(1), key=key),
            ChangeContext(consumer.now, "olga", "They asked."),
            evaluate=lambda _: evaluation,
        )


def test_of_the_users_of_a_full_hour_those_corrected_by_hand_are_counted_once(consumer: Consumer) -> None:
    for user in ("ada", "bob", "eve"):
        consumer.take(consumer.user(user), "k1", analysis=2)
        consumer.take(user, "k2", analysis=2)
    give_back(consumer, "ada")
    give_back(consumer, "ada", key="ticket 7")
    with transaction() as session:
        corrections.reset(session, "bob", ChangeContext(consumer.now, "olga", "They asked."))
    assert corrected(consumer, consumer.now) == Counts(0, 0), "the hour is not over"
    an_hour_later = consumer.now + HOUR
    assert corrected(consumer, an_hour_later) == Counts(2, 3)
    assert corrected(consumer, an_hour_later) == Counts(2, 3)
    assert corrected(consumer, an_hour_later + HOUR) == Counts(2, 3)


def test_another_leader_does_not_count_the_hour_again(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    an_hour_later = consumer.now + HOUR
    assert corrected(consumer, an_hour_later) == Counts(0, 1)
    LAST_HOURS.set(consumer.app, {})
    assert corrected(consumer, an_hour_later) == Counts(0, 1)


def test_what_a_rollback_gives_back_is_no_sign_of_a_new_fault(consumer: Consumer) -> None:
    consumer.take(consumer.user("ada"), "k1", analysis=2)
    give_back(consumer, "ada", key="rollback:ENABLE_CREDITS_V2:1")
    assert corrected(consumer, consumer.now + HOUR) == Counts(0, 1)
