"""Operations that PostgreSQL answers by itself: one statement, and everything around it as if Python had answered."""

from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import insert, text

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.receipts import Receipt
from credits_engine.operations import execution
from credits_engine.operations.consumption import EnginePolicy, KeyConflictError, Operation, UnknownUserError
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.tables import BILLING
from flags.store import Effect, put_override
from tests.credit_kinds import ANALYSIS
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.statements import noted

ONE = Amounts(1, 0)

pytestmark = pytest.mark.database("postgresql")


def broken(judge: str) -> None:
    """Let one of the two judges in the database raise."""
    with transaction() as session:
        words = session.scalar(text("SELECT pg_get_functiondef(CAST(:name AS regproc))"), {"name": judge})
        whole = words.replace("BEGIN\n", "BEGIN\n    RAISE EXCEPTION 'no such limit';\n")
        session.connection().exec_driver_sql(whole.replace("%", "%%"))


def test_an_operation_is_one_statement(consumer: Consumer) -> None:
    consumer.user("ada")
    execution.run_operation(Operation("ada", "k0", ONE), now=NOW)
    with noted() as statements:
        receipt = execution.run_operation(Operation("ada", "k1", ONE), now=NOW)
    assert len(statements) == 1
    assert receipt.charged == ONE
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts(2, 0)


def test_a_retry_gets_its_first_receipt(consumer: Consumer) -> None:
    consumer.user("ada")
    first, again = (execution.run_operation(Operation("ada", "k1", ONE), now=NOW) for _ in range(2))
    assert again == replace(first, replayed=True)


def test_what_can_not_be_answered_raises_what_the_use_case_raises(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.user("bob", plan="gold")
    execution.run_operation(Operation("ada", "k1", ONE), now=NOW)
    with pytest.raises(KeyConflictError, match="Key 'k1' was used before for another request"):
        execution.run_operation(Operation("ada", "k1", Amounts(2, 0)), now=NOW)
    with pytest.raises(UnknownUserError, match="User 'eve' is not in the directory"):
        execution.run_operation(Operation("eve", "k1", ONE), now=NOW)
    with pytest.raises(UnknownPlanError, match="Plan 'gold' is not in the catalogue; it has free, starter, pro"):
        execution.run_operation(Operation("bob", "k1", ONE), now=NOW)


def test_billing_that_is_due_is_settled_first(consumer: Consumer) -> None:
    consumer.user("ada")
    row = {"user_id": "ada", "original_plan": "free", "reason": "", "due_at": NOW, "updated_at": NOW}
    with transaction() as session:
        session.execute(insert(BILLING), row)
    assert execution.run_operation(Operation("ada", "k1", ONE), now=NOW).outcome is Outcome.ALLOWED


def test_a_shadow_that_raises_reaches_nobody(consumer: Consumer) -> None:
    consumer.user("ada")
    broken("credit_judge_v2")
    receipt = execution.run_operation(Operation("ada", "k1", ONE), now=NOW)
    assert (receipt.outcome, receipt.served.engine) == (Outcome.ALLOWED, EngineName.LEGACY)
    assert (receipt.shadow.outcome, receipt.comparison.variance) == (Outcome.ERROR, Variance.SHADOW_ERROR)
    assert receipt.shadow.reason == "P0001: no such limit"
    assert consumer.books("ada").v2.used == ONE


def test_a_serving_engine_that_raises_charges_nothing_and_is_asked_again(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        sound = session.scalar(text("SELECT pg_get_functiondef(CAST('credit_judge_legacy' AS regproc))"))
    broken("credit_judge_legacy")
    failed = execution.run_operation(Operation("ada", "k1", ONE), now=NOW)
    assert (failed.outcome, failed.charged, failed.granted) == (Outcome.ERROR, Amounts(), False)
    assert failed.comparison.variance is Variance.SERVED_ERROR
    with transaction() as session:
        session.connection().exec_driver_sql(sound.replace("%", "%%"))
    again = execution.run_operation(Operation("ada", "k1", ONE), now=NOW)
    assert (again.outcome, again.retry_of) == (Outcome.ALLOWED, failed.journal_id)
    assert consumer.books("ada").v2.used == ONE


def test_chosen_kinds_go_ahead_uncharged_when_an_engine_fails(consumer: Consumer) -> None:
    consumer.user("ada")
    execution.ENGINE_POLICY.set(consumer.app, EnginePolicy(allowed_on_error=frozenset({ANALYSIS})))
    broken("credit_judge_legacy")
    assert execution.run_operation(Operation("ada", "k1", ONE), now=NOW).granted
    assert not execution.run_operation(Operation("ada", "k2", Amounts(0, 1)), now=NOW).granted


def test_the_guard_learns_of_it(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
    for key in ("k1", "k2", "k2"):
        execution.run_operation(Operation("ada", key, ONE), now=NOW)
    signals.flush(NOW)
    with read_only() as session:
        totals = {(each.signal, each.engine, each.role): count.total for each, count in signals.totals(session).items()}
    assert totals["credit_routed", "legacy", "served"] == 2
    assert totals["credit_consumption_failure", "legacy", "served"] == 2
    assert totals["credit_consumption_failure", "v2", "shadow"] == 2


def test_a_user_who_is_let_in_by_name_is_served_by_v2_in_the_next_statement(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        session.execute(
            text("INSERT INTO lease VALUES ('guard', 'guard', 1, :until)"), {"until": datetime(2099, 1, 1, tzinfo=UTC)}
        )
    assert execution.run_operation(Operation("ada", "k1", ONE), now=NOW).served.engine is EngineName.LEGACY
    with transaction() as session:
        put_override(session, FLAG, "ada", Effect.ALLOW, ChangeContext(NOW, "test", "test"))
    receipt = execution.run_operation(Operation("ada", "k2", ONE), now=NOW)
    assert (receipt.served.engine, receipt.evaluation_reason) == (EngineName.V2, "TARGETING_MATCH: allowed")


def test_sixteen_callers_at_once_are_charged_once_per_key(consumer: Consumer) -> None:
    consumer.user("ada", plan="pro")
    gate, receipts = Barrier(16), list[Receipt]()

    def call(number: int) -> None:
        with consumer.app.app_context():
            gate.wait()
            keys = (f"k{each % 5}-{number % 8}" for each in range(10))
            receipts.extend(execution.run_operation(Operation("ada", key, ONE), now=NOW) for key in keys)

    threads = [Thread(target=call, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 160
    assert len({receipt.journal_id for receipt in receipts}) == 40 == consumer.books("ada").v2.used["analysis"]
    with read_only() as session:
        assert reconcile(session).clean
