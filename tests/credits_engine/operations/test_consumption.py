from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from control_plane.platform.db.database import transaction
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.receipts import Receipt, from_columns, replayed
from credits_engine.operations.consumption import Engines, KeyConflictError, UnknownUserError
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError("no such limit")


def charging_twice(book: Book, request: Request) -> Decision:
    doubled = Request(request.user_id, request.amounts + request.amounts)
    return v2.decide(book, doubled)


def together(consumer: Consumer, count: int, work: Any) -> list[Any]:
    """Run `work` in `count` threads that start at once; return their answers."""
    answers: list[Any] = []
    gate = Barrier(count)

    def run(number: int) -> None:
        with consumer.app.app_context():
            gate.wait()
            answers.append(work(number))

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def test_an_operation_moves_both_books_and_leaves_one_row(consumer: Consumer) -> None:
    consumer.user("ada")
    receipt = consumer.take("ada", "k1", analysis=3)
    both = consumer.books("ada")
    assert both.legacy.used == both.v2.used == Amounts(3, 0)
    (row,) = consumer.journal("ada")
    assert from_columns(row) == receipt
    assert (receipt.outcome, receipt.charged) == (Outcome.ALLOWED, Amounts(3, 0))
    assert receipt.served.engine is EngineName.LEGACY
    assert receipt.served.remaining == Limits(97, 50)
    assert receipt.shadow.remaining == Limits(97, 10)
    assert (receipt.evaluation_reason, receipt.flag_revision) == ("default", 1)


def test_the_same_key_gets_the_same_receipt_and_charges_once(consumer: Consumer) -> None:
    consumer.user("ada")
    first = consumer.take("ada", "k1", analysis=3)
    consumer.v2 = True
    consumer.now += timedelta(days=40)
    assert consumer.take("ada", "k1", analysis=3) == replayed(first)
    consumer.now = NOW
    assert consumer.books("ada").v2.used == Amounts(3, 0)


def test_the_same_key_for_something_else_is_refused(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=3)
    with pytest.raises(KeyConflictError, match="'k1'"):
        consumer.take("ada", "k1", analysis=4)
    assert len(consumer.journal("ada")) == 1


def test_two_users_may_use_the_same_key(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.user("bob")
    assert not consumer.take("ada", "k1", analysis=1).replayed
    assert not consumer.take("bob", "k1", analysis=2).replayed


def test_a_refusal_remembers_what_was_asked_and_is_idempotent_too(consumer: Consumer) -> None:
    consumer.user("ada")
    refusal = consumer.take("ada", "k1", roast=51)
    assert (refusal.outcome, refusal.requested, refusal.charged) == (Outcome.DENIED_LIMIT, Amounts(0, 51), Amounts())
    assert consumer.take("ada", "k1", roast=51) == replayed(refusal)
    assert consumer.books("ada").legacy.used == Amounts()


def test_what_the_served_engine_grants_is_posted_past_the_shadows_limit(consumer: Consumer) -> None:
    consumer.user("ada")
    receipt = consumer.take("ada", "k1", roast=30)
    assert (receipt.outcome, receipt.shadow.outcome) == (Outcome.ALLOWED, Outcome.DENIED_LIMIT)
    assert (receipt.comparison.variance, receipt.comparison.cause) == (Variance.POLICY, "policy:limit_table")
    assert consumer.books("ada").v2.used == Amounts(0, 30)
    consumer.v2 = True
    assert consumer.take("ada", "k2", roast=1).outcome is Outcome.DENIED_LIMIT
    consumer.v2 = False
    assert consumer.take("ada", "k3", roast=20).outcome is Outcome.ALLOWED
    assert consumer.take("ada", "k4", roast=1).outcome is Outcome.DENIED_LIMIT


def test_a_mixed_operation_is_charged_as_one(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.v2 = True
    assert consumer.take("ada", "k1", analysis=5, roast=11).charged == Amounts()
    assert consumer.take("ada", "k2", analysis=5, roast=10).charged == Amounts(5, 10)
    assert consumer.books("ada").v2.used == Amounts(5, 10)


def test_a_failing_shadow_changes_nothing_for_the_caller(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.engines = Engines(v2=failing)
    receipt = consumer.take("ada", "k1", analysis=3)
    assert (receipt.outcome, receipt.charged) == (Outcome.ALLOWED, Amounts(3, 0))
    assert (receipt.comparison.variance, receipt.shadow.outcome) == (Variance.SHADOW_ERROR, Outcome.ERROR)
    assert "no such limit" in receipt.shadow.reason
    assert consumer.books("ada").v2.used == Amounts(3, 0)


def test_a_failing_engine_charges_nothing_and_its_retry_is_decided_anew(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.v2, consumer.engines = True, Engines(v2=failing)
    failed = consumer.take("ada", "k1", analysis=3)
    assert (failed.outcome, failed.charged, failed.comparison.variance) == (
        Outcome.ERROR,
        Amounts(),
        Variance.SERVED_ERROR,
    )
    again = consumer.take("ada", "k1", analysis=3)
    assert (again.outcome, again.retry_of) == (Outcome.ERROR, failed.journal_id)
    consumer.v2 = False
    answered = consumer.take("ada", "k1", analysis=3)
    assert (answered.outcome, answered.retry_of) == (Outcome.ALLOWED, again.journal_id)
    assert consumer.take("ada", "k1", analysis=3) == replayed(answered)
    assert consumer.books("ada").legacy.used == Amounts(3, 0)
    assert len(consumer.journal("ada")) == 3


def test_a_retry_for_something_else_is_refused_after_an_error_too(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.v2, consumer.engines = True, Engines(v2=failing)
    consumer.take("ada", "k1", analysis=3)
    with pytest.raises(KeyConflictError):
        consumer.take("ada", "k1", analysis=4)


def test_both_books_take_what_a_defective_served_engine_charged(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.v2, consumer.engines = True, Engines(v2=charging_twice)
    receipt = consumer.take("ada", "k1", analysis=3)
    assert (receipt.charged, receipt.comparison.variance) == (Amounts(6, 0), Variance.DEFECT)
    both = consumer.books("ada")
    assert both.legacy.used == both.v2.used == Amounts(6, 0)


def test_an_unknown_user_is_named_and_nothing_is_written(consumer: Consumer) -> None:
    with pytest.raises(UnknownUserError, match="'nobody'"):
        consumer.take("nobody", "k1", analysis=1)


def test_an_unknown_plan_is_named_and_never_becomes_free(consumer: Consumer) -> None:
    consumer.user("ada", "gold")
    with pytest.raises(UnknownPlanError, match="'gold'"):
        consumer.take("ada", "k1", analysis=1)
    assert consumer.journal("ada") == []


def test_a_paying_plan_opens_its_period_with_its_own_limits(consumer: Consumer) -> None:
    consumer.user("ada", "creator_plus", anchor=datetime(2026, 1, 31, 8, tzinfo=UTC))
    receipt = consumer.take("ada", "k1", analysis=1)
    assert receipt.shadow.limits == Limits(100_000, 5_000)
    assert receipt.shadow.period.start == datetime(2027, 2, 28, 8, tzinfo=UTC)
    assert receipt.shadow.period.end == datetime(2027, 3, 31, 8, tzinfo=UTC)


def test_unlimited_plans_count_and_never_end(consumer: Consumer) -> None:
    consumer.user("ada", "custom")
    consumer.v2 = True
    assert consumer.take("ada", "k1", analysis=1_000_000).outcome is Outcome.ALLOWED
    receipt = consumer.take("ada", "k2", analysis=1_000_000)
    assert (receipt.outcome, receipt.served.remaining) == (Outcome.ALLOWED, Limits(None, None))
    assert consumer.books("ada").v2.used == Amounts(2_000_000, 0)


def test_the_clock_opens_the_next_period_without_anybodys_help(consumer: Consumer) -> None:
    consumer.user("ada", anchor=datetime(2026, 1, 20, tzinfo=UTC))
    consumer.v2 = True
    consumer.now = datetime(2027, 3, 20, tzinfo=UTC) - timedelta(microseconds=1)
    consumer.take("ada", "k1", roast=10)
    assert consumer.take("ada", "k2", roast=1).outcome is Outcome.DENIED_LIMIT
    consumer.now = datetime(2027, 3, 20, tzinfo=UTC)
    receipt = consumer.take("ada", "k3", roast=1)
    assert (receipt.outcome, receipt.served.used) == (Outcome.ALLOWED, Amounts())
    assert receipt.shadow.used == Amounts(0, 10)


def test_an_upgrade_counts_at_once_keeps_the_usage_and_is_journalled(consumer: Consumer) -> None:
    consumer.user("ada", "free")
    consumer.v2 = True
    consumer.take("ada", "k1", roast=10)
    consumer.user("ada", "pro")
    assert consumer.books("ada").v2.limits == Limits(10_000, 1_000)
    receipt = consumer.take("ada", "k2", roast=5)
    assert (receipt.outcome, receipt.served.used) == (Outcome.ALLOWED, Amounts(0, 10))
    assert receipt.served.remaining["roast"] == 985
    assert [row["type"] for row in consumer.journal("ada")] == ["consume", "limit_change", "consume"]


def test_a_downgrade_waits_for_the_next_period_and_plan_flips_create_nothing(consumer: Consumer) -> None:
    consumer.user("ada", "pro")
    consumer.v2 = True
    consumer.take("ada", "k1", roast=500)
    for number, plan in enumerate(("free", "pro", "free")):
        consumer.user("ada", plan)
        assert consumer.take("ada", f"flip{number}", roast=1).served.limits == Limits(10_000, 1_000)
    assert consumer.books("ada").v2.used == Amounts(0, 503)
    consumer.now += timedelta(days=31)
    assert consumer.take("ada", "k2", roast=1).served.limits == Limits(100, 10)


def test_a_changed_anchor_never_makes_periods_overlap(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=1)
    consumer.user("ada", anchor=datetime(2027, 3, 20, tzinfo=UTC))
    consumer.now = datetime(2027, 3, 25, tzinfo=UTC)
    assert consumer.take("ada", "k2", analysis=1).shadow.period.end == datetime(2027, 4, 1, tzinfo=UTC)
    consumer.now = datetime(2027, 4, 2, tzinfo=UTC)
    period = consumer.take("ada", "k3", analysis=1).shadow.period
    assert (period.start, period.end) == (datetime(2027, 4, 1, tzinfo=UTC), datetime(2027, 4, 20, tzinfo=UTC))
    consumer.now = NOW - timedelta(days=40)
    early = consumer.take("ada", "k4", analysis=1).shadow.period
    assert early.end <= datetime(2027, 3, 1, tzinfo=UTC)


def test_the_journal_refuses_to_be_changed(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=1)
    for change in (update(JOURNAL).values(charged=Amounts(analysis=0)), delete(JOURNAL)):
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(change)
    assert consumer.journal("ada")[0]["charged"]["analysis"] == 1


def test_a_book_refuses_to_go_below_zero(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=1)
    for table in (COUNTERS, LEGACY):
        with pytest.raises(DBAPIError), transaction() as session:
            session.execute(update(table).values(used=Amounts(analysis=-1)))


def test_many_threads_race_for_the_last_credit_and_one_gets_it(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.v2 = True
    consumer.take("ada", "start", roast=9)
    answers: list[Receipt] = together(consumer, 16, lambda number: consumer.take("ada", f"k{number}", roast=1))
    assert [answer.outcome for answer in answers].count(Outcome.ALLOWED) == 1
    assert consumer.books("ada").v2.used == Amounts(0, 10)


def test_first_requests_at_the_same_moment_create_one_period(consumer: Consumer) -> None:
    for attempt in range(4):
        user = consumer.user(f"user{attempt}", anchor=datetime(2026, 1, 31, tzinfo=UTC))
        answers = together(consumer, 16, lambda number, user=user: consumer.take(user, f"k{number}", analysis=1))
        assert {answer.shadow.period for answer in answers} == {answers[0].shadow.period}
        both = consumer.books(user)
        assert both.v2.used == both.legacy.used == Amounts(16, 0)


def test_one_key_sent_many_times_at_once_has_one_effect(consumer: Consumer) -> None:
    for attempt in range(3):
        user = consumer.user(f"user{attempt}")
        answers = together(consumer, 32, lambda _, user=user: consumer.take(user, "same", analysis=2))
        assert [answer.replayed for answer in answers].count(False) == 1
        assert {replace(answer, replayed=False) for answer in answers} == {replace(answers[0], replayed=False)}
        assert consumer.books(user).v2.used == Amounts(2, 0)
        assert len(consumer.journal(user)) == 1
