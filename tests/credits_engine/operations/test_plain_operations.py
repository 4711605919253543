"""The short way of PostgreSQL's function: taken by the operations that nearly all are, and left for everything else."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.migrations import downgrade, upgrade
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from credits_engine.administration.top_ups import Purchase, top_up
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import Receipt, from_columns
from credits_engine.operations import stored_procedure
from credits_engine.operations.consumption import Operation
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import accounts, retirement, stored_procedures
from credits_engine.store.tables import BILLING, USERS
from flags.store import Effect, put_override
from tests.credit_kinds import ROAST
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.credits_engine.random_operations import RandomUser, move

CALL = text("SELECT credit_answer('ada', :key, '{1,0}', 'test', :now, 'production', NULL, 1, false)")
BY_ROW = text("SELECT (entry).* FROM credit_operate('ada', :key, 1, 0, 'test', :now, 'production', bucket => 1)")
CLOSED = """
CREATE OR REPLACE FUNCTION credit_operate(of_user text, of_key text, asked bigint[], by_actor text,
    moment timestamptz, in_environment text DEFAULT 'production', override boolean DEFAULT NULL,
    bucket integer DEFAULT NULL, allowed_on_error boolean DEFAULT false, note json DEFAULT NULL,
    OUT replayed boolean, OUT entry credit_journal) LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the long way'; END $$
"""
THE_LONG_WAY = pytest.raises(DBAPIError, match="the long way")

pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def regular(consumer: Consumer) -> Consumer:
    """A user whose period and month are open, and no way but the short one."""
    consumer.user("ada")
    take("k0")
    with transaction() as session:
        session.execute(text(CLOSED))
    return consumer


def take(key: str) -> Receipt:
    with transaction() as session:
        document = session.execute(CALL, {"key": key, "now": NOW}).scalar_one()
    return stored_procedure.receipt_of(
        stored_procedures.read(document), Operation("ada", key, Amounts(1, 0), actor="test"), NOW
    )


def test_an_operation_that_both_engines_allow_goes_the_short_way(regular: Consumer) -> None:
    receipt = take("k1")
    assert receipt == from_columns(regular.journal("ada")[-1])
    assert (receipt.outcome, receipt.comparison.variance, receipt.replayed) == (Outcome.ALLOWED, Variance.MATCH, False)
    assert regular.books("ada").v2.used["analysis"] == regular.books("ada").legacy.used["analysis"] == 2


def test_where_legacy_is_retired_the_short_way_asks_v2_alone(regular: Consumer) -> None:
    with transaction() as session:
        retirement.retire(session, now=NOW, actor="test", reason="test")
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        session.execute(text("INSERT INTO lease VALUES ('guard', 'guard', 1, :until)"), {"until": NOW + timedelta(1)})
        session.execute(text("UPDATE rollout SET phase = 3, step = 3, version = version + 1"))
    receipt = take("k1")
    assert receipt == from_columns(regular.journal("ada")[-1])
    assert (receipt.served.engine, receipt.shadow.outcome) == (EngineName.V2, None)
    assert receipt.comparison.variance is Variance.RETIRED


def renamed(session: Session, **values: Any) -> None:
    session.execute(USERS.update().where(USERS.c.user_id == "ada").values(**values))


def billed(session: Session, **values: Any) -> None:
    row = {"user_id": "ada", "original_plan": "free", "reason": "", "updated_at": NOW}
    session.execute(insert(BILLING), row | values)


SPECIAL: Mapping[str, Callable[[Session], object]] = {
    "frozen": lambda session: accounts.freeze(session, "ada", now=NOW, actor="test", reason="test"),
    "everybody frozen": lambda session: accounts.freeze(session, "*", now=NOW, actor="test", reason="test"),
    "blocked by billing": lambda session: billed(session, blocked="Payment failed."),
    "billing due": lambda session: billed(session, due_at=NOW),
    "another plan": lambda session: renamed(session, plan="pro"),
    "no such plan": lambda session: renamed(session, plan="gold"),
    "no such user": lambda session: renamed(session, user_id="eve"),
    "packs": lambda session: top_up(
        session, Purchase("ada", ROAST, 1, NOW + timedelta(1)), ChangeContext(NOW, "test", "test")
    ),
    "named in the flag": lambda session: put_override(
        session, FLAG, "ada", Effect.DENY, ChangeContext(NOW, "test", "test")
    ),
    "v2 refuses": lambda session: session.execute(text("UPDATE usage_counters SET used = '{100,0}'")),
    "legacy refuses": lambda session: session.execute(text("UPDATE legacy_book SET used = '{100,0}'")),
    "no period": lambda session: session.execute(text("DELETE FROM usage_counters")),
    "no month": lambda session: session.execute(text("DELETE FROM legacy_book")),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_whatever_is_special_is_left_to_the_long_way(regular: Consumer, name: str) -> None:
    with transaction() as session:
        SPECIAL[name](session)
    with THE_LONG_WAY:
        take("k1")


def test_a_key_that_was_used_is_answered_the_long_way(regular: Consumer) -> None:
    with THE_LONG_WAY:
        take("k0")


@pytest.mark.parametrize("table", ["usage_counters", "legacy_book"])
def test_whoever_meets_somebody_at_the_books_waits_the_long_way(regular: Consumer, table: str) -> None:
    with transaction() as session:
        session.execute(text(f"SELECT FROM {table} FOR UPDATE"))
        with THE_LONG_WAY:
            take("k1")


@pytest.mark.parametrize("other", ["commits", "fails"])
def test_whoever_uses_the_same_key_for_another_month_is_waited_for(regular: Consumer, other: str) -> None:
    answers: list[Receipt | Exception] = []

    def call() -> None:
        with regular.app.app_context():
            try:
                answers.append(take("k1"))
            except DBAPIError as error:
                answers.append(error)

    caller = Thread(target=call)
    with suppress(ZeroDivisionError), transaction() as session:
        session.execute(text("INSERT INTO operation_key VALUES ('ada', 'k1', 'consume 1 0', 1, :now)"), {"now": NOW})
        caller.start()
        while not session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            time.sleep(0.01)
        assert answers == []
        if other == "fails":
            raise ZeroDivisionError
    caller.join()
    (answer,) = answers
    assert "the long way" in str(answer) if other == "commits" else isinstance(answer, Receipt)
    assert regular.books("ada").v2.used["analysis"] == (1 if other == "commits" else 2)


def test_what_is_kept_of_a_rollout_follows_it(regular: Consumer) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        for number in range(20):
            move(session, RandomUser(number))
            kept = session.execute(
                text(
                    "SELECT w.allowlist, w.newcomers, w.everyone, w.environments <> '{}' AS everybody,"
                    " e.allowlist, e.newcomers, e.everyone, true"
                    " FROM rollout r JOIN credit_route w USING (flag, version),"
                    " credit_exposure(r.plan::jsonb, r.phase, r.step, 'production') e"
                )
            ).one()
            assert kept[:4] == kept[4:]


def test_a_plan_that_nobody_understands_keeps_no_rollback_waiting(regular: Consumer) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        session.execute(text("""UPDATE rollout SET plan = '{"phases": [{"audience": "cats"}]}', version = 7"""))
        rollout = session.execute(
            text("UPDATE rollout SET state = 'rolled_back', version = 8 RETURNING state")
        ).scalar()
    assert rollout == RolloutState.ROLLED_BACK
    with THE_LONG_WAY:
        take("k1")


def test_going_down_and_up_again_keeps_the_books_and_what_is_exposed(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
    take("k1")
    for version in ("0015", "0014"):
        downgrade(version)
        with transaction() as session:
            row = session.execute(BY_ROW, {"key": version, "now": NOW}).one()
        assert row.evaluation_reason == "DISABLED: guard_lease_expired"
    upgrade()
    with read_only() as session:
        version = session.scalar(text("SELECT version FROM credit_route"))
        stored = rollout_store.load(session, FLAG)
    assert stored
    assert version == stored.version
    assert take("k3").evaluation_reason == "DISABLED: guard_lease_expired"
    with read_only() as session:
        assert reconcile(session).clean
