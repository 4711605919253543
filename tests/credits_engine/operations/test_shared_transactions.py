"""Operations that share a transaction on PostgreSQL: what they leave is what each would have left alone."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db import fastpath
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.db.group_commit import _Waiter
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import from_columns
from credits_engine.operations import execution, stored_procedure
from credits_engine.operations.consumption import KeyConflictError, Operation
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import stored_procedures
from credits_engine.store.stored_procedures import JournalResult, ProcedureParams, ShortResult
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.credits_engine.operations.test_plain_operations import SPECIAL
from tests.statements import wait_until_somebody_waits

PATIENCE_SECONDS = 30

FAILING_ENGINE = """
CREATE OR REPLACE FUNCTION credit_judge_{engine}(blocked text, kinds text[], limits bigint[], used bigint[],
    ends timestamptz, bought bigint[], asked bigint[], OUT outcome text, OUT reason text) LANGUAGE plpgsql AS $$
BEGIN
    IF asked[1] = 3 THEN
        RAISE EXCEPTION 'three';
    END IF;
    outcome := 'allowed'; reason := 'not three';
END $$
"""
pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def consumers(consumer: Consumer) -> Consumer:
    """Two users whose period and month are open."""
    for user in ("ada", "bob"):
        consumer.user(user)
        stored_procedures.call(params_of(user, "k0"))
    return consumer


def params_of(user: str, key: str, analysis: int = 1, *, actor: str = "test") -> ProcedureParams:
    return ProcedureParams(user, key, Amounts(analysis, 0), actor, NOW, "production", None, 1, False)


def used(consumer: Consumer, user: str = "ada") -> tuple[int, int, int]:
    """Return the analysis credits of both books, and the rows of the journal."""
    books = consumer.books(user)
    return books.v2.used["analysis"], books.legacy.used["analysis"], len(consumer.journal(user))


@pytest.mark.parametrize("name", SPECIAL)
def test_whatever_is_special_is_left_out_and_the_others_are_answered(consumers: Consumer, name: str) -> None:
    with transaction() as session:
        SPECIAL[name](session)
    rows = len(consumers.journal("ada"))
    special, other = stored_procedures.call_many([params_of("ada", "k1"), params_of("bob", "k1")])
    assert special is None
    assert len(consumers.journal("ada")) == rows
    is_of_both = name in ("everybody frozen", "v2 refuses", "legacy refuses", "no period", "no month")
    assert (other is None) == is_of_both


@pytest.mark.parametrize("table", ["usage_counters", "legacy_book"])
def test_an_account_that_somebody_has_locked_keeps_nobody_waiting(consumers: Consumer, table: str) -> None:
    with transaction() as session:
        session.execute(text(f"SELECT FROM {table} WHERE user_id = 'ada' FOR UPDATE"))
        found = stored_procedures.call_many([params_of("ada", "k1"), params_of("bob", "k1")])
    assert [each is None for each in found] == [True, False]


def test_a_key_that_somebody_is_using_holds_up_nobody_but_its_own(consumers: Consumer) -> None:
    def take(user: str) -> None:
        with consumers.app.app_context():
            execution.run_operation(Operation(user, "k1", Amounts(1, 0), actor="test"), now=NOW)

    ada = threading.Thread(target=take, args=["ada"])
    with db.engine.connect() as other:
        other.execute(text("INSERT INTO operation_key VALUES ('ada', 'k1', 'consume 1 0', 1, :now)"), {"now": NOW})
        with pytest.raises(DBAPIError) as caught:
            stored_procedures.call_many([params_of("ada", "k1"), params_of("bob", "k1")])
        assert isinstance(caught.value.orig, LockNotAvailable)
        assert used(consumers, "bob") == (1, 1, 1)
        ada.start()
        wait_until_somebody_waits()
        take("bob")
    ada.join(PATIENCE_SECONDS)
    assert (used(consumers, "ada"), used(consumers, "bob")) == ((2, 2, 2), (2, 2, 2))


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_connection_that_is_lost_with_many_answers_costs_none_and_doubles_none(
    consumers: Consumer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The backend is gone before the statement, or after its commit and before its answer."""
    prepared = fastpath._Compiled.prepared_value

    def lose(compiled: Any, driver: Any, sql: str, texts: Any) -> bytes:
        if "many" not in sql:
            return prepared(compiled, driver, sql, texts)
        if where == "after":
            prepared(compiled, driver, sql, texts)
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": driver.info.backend_pid})
        return prepared(compiled, driver, sql, texts)

    calls = stored_procedure.CALLS.get()
    assert calls is not None
    monkeypatch.setattr(fastpath._Compiled, "prepared_value", lose)
    batch: list[_Waiter[ProcedureParams, ShortResult | JournalResult]] = [
        _Waiter(params_of(user, "k1")) for user in ("ada", "bob")
    ]
    batch[1].woken.acquire()
    calls._commit_batch(batch)
    assert [each.result for each in batch] == [None, None]
    answers = [calls.run(each.request) for each in batch]
    assert [isinstance(each, JournalResult) and each.replayed for each in answers] == [where == "after"] * 2
    assert (used(consumers, "ada"), used(consumers, "bob")) == ((2, 2, 2), (2, 2, 2))


@pytest.mark.parametrize("engine", ["v2", "legacy"])
def test_an_engine_that_fails_costs_the_others_nothing(consumers: Consumer, engine: str) -> None:
    with transaction() as session:
        session.execute(text(FAILING_ENGINE.format(engine=engine)))
    found = stored_procedures.call_many(
        [params_of("ada", "k1", 3), params_of("bob", "k1", 2), params_of("ada", "k2", 1)]
    )
    assert [each is None for each in found] == [True, False, False]
    assert (used(consumers, "ada"), used(consumers, "bob")) == ((2, 2, 2), (3, 3, 2))


def test_operations_of_one_account_see_each_others(consumers: Consumer) -> None:
    # `free` has 100 analysis credits; one is used.
    found = stored_procedures.call_many([params_of("ada", f"k{number}", 40) for number in (1, 2, 3)])
    assert [each and each.v2_used["analysis"] for each in found] == [1, 41, None]
    assert used(consumers) == (81, 81, 3)


def test_a_key_counts_once_also_within_one_transaction(consumers: Consumer) -> None:
    first, again, known = stored_procedures.call_many(
        [params_of("ada", "k1"), params_of("ada", "k1"), params_of("ada", "k0")]
    )
    assert (first is None, again, known) == (False, None, None)
    assert used(consumers) == (2, 2, 2)


def test_each_receipt_is_that_of_its_row(consumers: Consumer) -> None:
    questions = [params_of(user, f"k{number}", number) for number in (1, 2) for user in ("ada", "bob")]
    found = stored_procedures.call_many(questions)
    rows = {(row["user_id"], row["operation_key"]): row for user in ("ada", "bob") for row in consumers.journal(user)}
    for question, answer in zip(questions, found, strict=True):
        assert isinstance(answer, ShortResult)
        operation = Operation(question.user_id, question.key, question.amounts, actor="test")
        assert stored_procedure.receipt_of(answer, operation, NOW) == from_columns(rows[question.user_id, question.key])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=6))
def test_any_text_is_a_key_and_an_actor(consumers: Consumer, words: list[str]) -> None:
    questions = [
        params_of("ada", f"{number} {word}", 0, actor=word or "-") for number, word in enumerate(["NULL", *words])
    ]
    with transaction() as session:
        session.execute(text("DELETE FROM operation_key WHERE key <> 'k0'"))
    found = stored_procedures.call_many(questions)
    assert None not in found
    kept = [(row["operation_key"], row["actor"]) for row in consumers.journal("ada")][-len(questions) :]
    assert kept == [(question.key, question.actor) for question in questions]


def test_a_zero_byte_fails_as_it_does_alone(consumers: Consumer) -> None:
    for call in (stored_procedures.call, lambda question: stored_procedures.call_many([question])):
        with pytest.raises(DBAPIError, match="zero bytes"):
            call(params_of("ada", "k\0"))
    assert used(consumers) == (1, 1, 1)


def test_where_a_rollback_is_in_force_nobody_is_served_by_v2(consumers: Consumer) -> None:
    change = ChangeContext(NOW, "test", "test")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), change)
        session.execute(text("INSERT INTO lease VALUES ('guard', 'guard', 1, :until)"), {"until": NOW + timedelta(1)})
        session.execute(text("UPDATE rollout SET phase = 3, step = 3, version = version + 1"))
    assert _reasons(stored_procedures.call_many([params_of("ada", "k1"), params_of("bob", "k1")])) == {
        "STATIC: everyone_all"
    }
    with transaction() as session:
        rollouts.roll_back(session, FLAG, change)
    assert _reasons(stored_procedures.call_many([params_of("ada", "k2"), params_of("bob", "k2")])) == {
        "DISABLED: rolled_back"
    }


def _reasons(found: Sequence[ShortResult | None]) -> set[str]:
    return {each.evaluation_reason for each in found if each}


def test_whoever_waits_for_a_locked_account_holds_nobody_else_up(consumers: Consumer) -> None:
    def take(user: str, number: int) -> None:
        with consumers.app.app_context():
            execution.run_operation(Operation(user, f"k{number}", Amounts(1, 0), actor="test"), now=NOW)

    threads = [threading.Thread(target=take, args=["bob", number]) for number in range(1, 9)]
    stuck = threading.Thread(target=take, args=["ada", 1])
    with transaction() as session:
        session.execute(text("SELECT FROM usage_counters WHERE user_id = 'ada' FOR UPDATE"))
        stuck.start()
        wait_until_somebody_waits()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert (stuck.is_alive(), used(consumers, "bob"), used(consumers, "ada")) == (True, (9, 9, 9), (1, 1, 1))
    stuck.join(PATIENCE_SECONDS)
    assert used(consumers, "ada") == (2, 2, 2)


def test_a_crowd_at_a_locked_account_takes_a_few_connections_alone(consumers: Consumer) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def take(user: str, number: int) -> None:
        with consumers.app.app_context():
            execution.run_operation(Operation(user, f"k{number}", Amounts(1, 0), actor="test"), now=NOW)

    crowd = [threading.Thread(target=take, args=["ada", number]) for number in range(1, 41)]
    with transaction() as session:
        session.execute(text("SELECT FROM usage_counters WHERE user_id = 'ada' FOR UPDATE"))
        for thread in crowd:
            thread.start()
        wait_until_somebody_waits(execution.AT_ONCE)
        take("bob", 1)
        assert session.scalar(text(waiting)) == execution.AT_ONCE
    for thread in crowd:
        thread.join(PATIENCE_SECONDS)
    assert (used(consumers, "ada"), used(consumers, "bob")) == ((41, 41, 41), (2, 2, 2))


def test_a_crowd_at_few_accounts_loses_nothing_and_doubles_nothing(consumers: Consumer) -> None:
    """Sixteen threads, two accounts, each key by two threads, now and then for another amount."""
    answers: list[Any] = []

    def take(number: int) -> None:
        with consumers.app.app_context():
            for each in range(25):
                key, amount = f"{number // 2}-{each}", 1 + (number % 2 and each % 3 == 0)
                operation = Operation(("ada", "bob")[each % 2], key, Amounts(0, amount), actor="test")
                try:
                    answers.append(execution.run_operation(operation, now=NOW))
                except KeyConflictError:
                    answers.append(None)

    threads = [threading.Thread(target=take, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receipts = [each for each in answers if each]
    first = [each for each in receipts if not each.replayed]
    assert len(answers) == 16 * 25
    assert len({(each.user_id, each.operation_key) for each in first}) == len(first) == 8 * 25
    for user in ("ada", "bob"):
        charged = sum(each.charged["roast"] for each in first if each.user_id == user)
        books = consumers.books(user)
        assert books.v2.used["roast"] == books.legacy.used["roast"] == charged
    with read_only() as session:
        assert reconcile(session).clean
