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
from tests.credits_engine.conftest import Till
from tests.credits_engine.examples import NOW


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError("no such limit")


def charging_twice(book: Book, request: Request) -> Decision:
    doubled = Request(request.user_id, request.amounts + request.amounts)
    return v2.decide(book, doubled)


def together(till: Till, count: int, work: Any) -> list[Any]:
    """Run `work` in `count` threads that start at once; return their answers."""
    answers: list[Any] = []
    gate = Barrier(count)

    def run(number: int) -> None:
        with till.app.app_context():
            gate.wait()
            answers.append(work(number))

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def test_an_operation_moves_both_books_and_leaves_one_row(till: Till) -> None:
    till.user("ada")
    receipt = till.take("ada", "k1", analysis=3)
    both = till.books("ada")
    assert both.legacy.used == both.v2.used == Amounts(3, 0)
    (row,) = till.journal("ada")
    assert from_columns(row) == receipt
    assert (receipt.outcome, receipt.charged) == (Outcome.ALLOWED, Amounts(3, 0))
    assert receipt.served.engine is EngineName.LEGACY
    assert receipt.served.remaining == Limits(97, 50)
    assert receipt.shadow.remaining == Limits(97, 10)
    assert (receipt.evaluation_reason, receipt.flag_revision) == ("default", 1)


def test_the_same_key_gets_the_same_receipt_and_charges_once(till: Till) -> None:
    till.user("ada")
    first = till.take("ada", "k1", analysis=3)
    till.v2 = True
    till.now += timedelta(days=40)
    assert till.take("ada", "k1", analysis=3) == replayed(first)
    till.now = NOW
    assert till.books("ada").v2.used == Amounts(3, 0)


def test_the_same_key_for_something_else_is_refused(till: Till) -> None:
    till.user("ada")
    till.take("ada", "k1", analysis=3)
    with pytest.raises(KeyConflictError, match="'k1'"):
        till.take("ada", "k1", analysis=4)
    assert len(till.journal("ada")) == 1


def test_two_users_may_use_the_same_key(till: Till) -> None:
    till.user("ada")
    till.user("bob")
    assert not till.take("ada", "k1", analysis=1).replayed
    assert not till.take("bob", "k1", analysis=2).replayed


def test_a_refusal_remembers_what_was_asked_and_is_idempotent_too(till: Till) -> None:
    till.user("ada")
    refusal = till.take("ada", "k1", roast=51)
    assert (refusal.outcome, refusal.requested, refusal.charged) == (Outcome.DENIED_LIMIT, Amounts(0, 51), Amounts())
    assert till.take("ada", "k1", roast=51) == replayed(refusal)
    assert till.books("ada").legacy.used == Amounts()


def test_what_the_served_engine_grants_is_posted_past_the_shadows_limit(till: Till) -> None:
    till.user("ada")
    receipt = till.take("ada", "k1", roast=30)
    assert (receipt.outcome, receipt.shadow.outcome) == (Outcome.ALLOWED, Outcome.DENIED_LIMIT)
    assert (receipt.comparison.variance, receipt.comparison.cause) == (Variance.POLICY, "policy:limit_table")
    assert till.books("ada").v2.used == Amounts(0, 30)
    till.v2 = True
    assert till.take("ada", "k2", roast=1).outcome is Outcome.DENIED_LIMIT
    till.v2 = False
    assert till.take("ada", "k3", roast=20).outcome is Outcome.ALLOWED
    assert till.take("ada", "k4", roast=1).outcome is Outcome.DENIED_LIMIT


def test_a_mixed_operation_is_charged_as_one(till: Till) -> None:
    till.user("ada")
    till.v2 = True
    assert till.take("ada", "k1", analysis=5, roast=11).charged == Amounts()
    assert till.take("ada", "k2", analysis=5, roast=10).charged == Amounts(5, 10)
    assert till.books("ada").v2.used == Amounts(5, 10)


def test_a_failing_shadow_changes_nothing_for_the_caller(till: Till) -> None:
    till.user("ada")
    till.engines = Engines(v2=failing)
    receipt = till.take("ada", "k1", analysis=3)
    assert (receipt.outcome, receipt.charged) == (Outcome.ALLOWED, Amounts(3, 0))
    assert (receipt.comparison.variance, receipt.shadow.outcome) == (Variance.SHADOW_ERROR, Outcome.ERROR)
    assert "no such limit" in receipt.shadow.reason
    assert till.books("ada").v2.used == Amounts(3, 0)


def test_a_failing_engine_charges_nothing_and_its_retry_is_decided_anew(till: Till) -> None:
    till.user("ada")
    till.v2, till.engines = True, Engines(v2=failing)
    failed = till.take("ada", "k1", analysis=3)
    assert (failed.outcome, failed.charged, failed.comparison.variance) == (
        Outcome.ERROR,
        Amounts(),
        Variance.SERVED_ERROR,
    )
    again = till.take("ada", "k1", analysis=3)
    assert (again.outcome, again.retry_of) == (Outcome.ERROR, failed.journal_id)
    till.v2 = False
    answered = till.take("ada", "k1", analysis=3)
    assert (answered.outcome, answered.retry_of) == (Outcome.ALLOWED, again.journal_id)
    assert till.take("ada", "k1", analysis=3) == replayed(answered)
    assert till.books("ada").legacy.used == Amounts(3, 0)
    assert len(till.journal("ada")) == 3


def test_a_retry_for_something_else_is_refused_after_an_error_too(till: Till) -> None:
    till.user("ada")
    till.v2, till.engines = True, Engines(v2=failing)
    till.take("ada", "k1", analysis=3)
    with pytest.raises(KeyConflictError):
        till.take("ada", "k1", analysis=4)


def test_both_books_take_what_a_defective_served_engine_charged(till: Till) -> None:
    till.user("ada")
    till.v2, till.engines = True, Engines(v2=charging_twice)
    receipt = till.take("ada", "k1", analysis=3)
    assert (receipt.charged, receipt.comparison.variance) == (Amounts(6, 0), Variance.DEFECT)
    both = till.books("ada")
    assert both.legacy.used == both.v2.used == Amounts(6, 0)


def test_an_unknown_user_is_named_and_nothing_is_written(till: Till) -> None:
    with pytest.raises(UnknownUserError, match="'nobody'"):
        till.take("nobody", "k1", analysis=1)


def test_an_unknown_plan_is_named_and_never_becomes_free(till: Till) -> None:
    till.user("ada", "gold")
    with pytest.raises(UnknownPlanError, match="'gold'"):
        till.take("ada", "k1", analysis=1)
    assert till.journal("ada") == []


def test_a_paying_plan_opens_its_period_with_its_own_limits(till: Till) -> None:
    till.user("ada", "creator_plus", anchor=datetime(2026, 1, 31, 8, tzinfo=UTC))
    receipt = till.take("ada", "k1", analysis=1)
    assert receipt.shadow.limits == Limits(100_000, 5_000)
    assert receipt.shadow.period.start == datetime(2027, 2, 28, 8, tzinfo=UTC)
    assert receipt.shadow.period.end == datetime(2027, 3, 31, 8, tzinfo=UTC)


def test_unlimited_plans_count_and_never_end(till: Till) -> None:
    till.user("ada", "custom")
    till.v2 = True
    assert till.take("ada", "k1", analysis=1_000_000).outcome is Outcome.ALLOWED
    receipt = till.take("ada", "k2", analysis=1_000_000)
    assert (receipt.outcome, receipt.served.remaining) == (Outcome.ALLOWED, Limits(None, None))
    assert till.books("ada").v2.used == Amounts(2_000_000, 0)


def test_the_clock_opens_the_next_period_without_anybodys_help(till: Till) -> None:
    till.user("ada", anchor=datetime(2026, 1, 20, tzinfo=UTC))
    till.v2 = True
    till.now = datetime(2027, 3, 20, tzinfo=UTC) - timedelta(microseconds=1)
    till.take("ada", "k1", roast=10)
    assert till.take("ada", "k2", roast=1).outcome is Outcome.DENIED_LIMIT
    till.now = datetime(2027, 3, 20, tzinfo=UTC)
    receipt = till.take("ada", "k3", roast=1)
    assert (receipt.outcome, receipt.served.used) == (Outcome.ALLOWED, Amounts())
    assert receipt.shadow.used == Amounts(0, 10)


def test_an_upgrade_counts_at_once_keeps_the_usage_and_is_journalled(till: Till) -> None:
    till.user("ada", "free")
    till.v2 = True
    till.take("ada", "k1", roast=10)
    till.user("ada", "pro")
    assert till.books("ada").v2.limits == Limits(10_000, 1_000)
    receipt = till.take("ada", "k2", roast=5)
    assert (receipt.outcome, receipt.served.used) == (Outcome.ALLOWED, Amounts(0, 10))
    assert receipt.served.remaining["roast"] == 985
    assert [row["type"] for row in till.journal("ada")] == ["consume", "limit_change", "consume"]


def test_a_downgrade_waits_for_the_next_period_and_plan_flips_create_nothing(till: Till) -> None:
    till.user("ada", "pro")
    till.v2 = True
    till.take("ada", "k1", roast=500)
    for number, plan in enumerate(("free", "pro", "free")):
        till.user("ada", plan)
        assert till.take("ada", f"flip{number}", roast=1).served.limits == Limits(10_000, 1_000)
    assert till.books("ada").v2.used == Amounts(0, 503)
    till.now += timedelta(days=31)
    assert till.take("ada", "k2", roast=1).served.limits == Limits(100, 10)


def test_a_changed_anchor_never_makes_periods_overlap(till: Till) -> None:
    till.user("ada")
    till.take("ada", "k1", analysis=1)
    till.user("ada", anchor=datetime(2027, 3, 20, tzinfo=UTC))
    till.now = datetime(2027, 3, 25, tzinfo=UTC)
    assert till.take("ada", "k2", analysis=1).shadow.period.end == datetime(2027, 4, 1, tzinfo=UTC)
    till.now = datetime(2027, 4, 2, tzinfo=UTC)
    period = till.take("ada", "k3", analysis=1).shadow.period
    assert (period.start, period.end) == (datetime(2027, 4, 1, tzinfo=UTC), datetime(2027, 4, 20, tzinfo=UTC))
    till.now = NOW - timedelta(days=40)
    early = till.take("ada", "k4", analysis=1).shadow.period
    assert early.end <= datetime(2027, 3, 1, tzinfo=UTC)


def test_the_journal_refuses_to_be_changed(till: Till) -> None:
    till.user("ada")
    till.take("ada", "k1", analysis=1)
    for change in (update(JOURNAL).values(charged=Amounts(analysis=0)), delete(JOURNAL)):
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(change)
    assert till.journal("ada")[0]["charged"]["analysis"] == 1


def test_a_book_refuses_to_go_below_zero(till: Till) -> None:
    till.user("ada")
    till.take("ada", "k1", analysis=1)
    for table in (COUNTERS, LEGACY):
        with pytest.raises(DBAPIError), transaction() as session:
            session.execute(update(table).values(used=Amounts(analysis=-1)))


def test_many_threads_race_for_the_last_credit_and_one_gets_it(till: Till) -> None:
    till.user("ada")
    till.v2 = True
    till.take("ada", "start", roast=9)
    answers: list[Receipt] = together(till, 16, lambda number: till.take("ada", f"k{number}", roast=1))
    assert [answer.outcome for answer in answers].count(Outcome.ALLOWED) == 1
    assert till.books("ada").v2.used == Amounts(0, 10)


def test_first_requests_at_the_same_moment_create_one_period(till: Till) -> None:
    for attempt in range(4):
        user = till.user(f"user{attempt}", anchor=datetime(2026, 1, 31, tzinfo=UTC))
        answers = together(till, 16, lambda number, user=user: till.take(user, f"k{number}", analysis=1))
        assert {answer.shadow.period for answer in answers} == {answers[0].shadow.period}
        both = till.books(user)
        assert both.v2.used == both.legacy.used == Amounts(16, 0)


def test_one_key_sent_many_times_at_once_has_one_effect(till: Till) -> None:
    for attempt in range(3):
        user = till.user(f"user{attempt}")
        answers = together(till, 32, lambda _, user=user: till.take(user, "same", analysis=2))
        assert [answer.replayed for answer in answers].count(False) == 1
        assert {replace(answer, replayed=False) for answer in answers} == {replace(answers[0], replayed=False)}
        assert till.books(user).v2.used == Amounts(2, 0)
        assert len(till.journal(user)) == 1
