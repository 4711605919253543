"""The functions of PostgreSQL beside the use case in Python: whatever is asked of both leaves the same rows behind."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mmh3
import pytest
from sqlalchemy import Table, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from credits_engine.engines import receipts
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.operations import stored_procedure
from credits_engine.operations.consumption import (
    ENGINES,
    EnginePolicy,
    Engines,
    Evaluate,
    FlagEvaluation,
    KeyConflictError,
    Operation,
    UnknownUserError,
    consume,
)
from credits_engine.operations.routing import UNPLANNED, customer, evaluate_flag
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import stored_procedures
from credits_engine.store.accounts import Account
from credits_engine.store.tables import COUNTERS, JOURNAL, KEYS, LEGACY, PACK_ENTRIES, PACKS
from flags import store as flag_store
from flags.evaluation.evaluator import evaluate
from flags.snapshot import NEVER_BEATEN, rollout_flag
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.credits_engine.random_operations import RandomUser, arrange, disturb, operation

SEQUENCES, ALL_SEQUENCES, STEPS = 60, 10_000, 4
OPERATE = text(
    "SELECT row_to_json(o) FROM credit_operate(:user_id, :key, CAST(:asked AS bigint[]), :actor, :now,"
    " in_environment => :environment, override => :override) o"
)
ANSWER = text(
    "SELECT credit_answer(:user_id, :key, CAST(:asked AS bigint[]), :actor, :now, :environment, :override, NULL, false)"
)
ANSWER_MANY = text(
    "SELECT credit_answer_many(ARRAY[:user_id], ARRAY[:key], ARRAY[CAST(CAST(:asked AS bigint[]) AS text)],"
    " ARRAY[:actor], ARRAY[CAST(:now AS timestamptz)], ARRAY[NULL::integer], ARRAY[1], :environment, :override)"
)
REFUSALS: Mapping[str, type[Exception]] = {
    "CRUSR": UnknownUserError,
    "CRPLN": UnknownPlanError,
    "CRKEY": KeyConflictError,
}
NUMBERED = ("id", "v2_us", "legacy_us")
"""What differs between two runs of the same."""

pytestmark = pytest.mark.database("postgresql")


def test_the_functions_agree_with_the_use_case(consumer: Consumer) -> None:
    _run_operations(SEQUENCES)


@pytest.mark.long
def test_the_functions_agree_with_the_use_case_on_ten_thousand_sequences(consumer: Consumer) -> None:
    _run_operations(ALL_SEQUENCES)


def test_the_functions_read_the_catalogue_that_the_engines_read(consumer: Consumer) -> None:
    with read_only() as session:
        rows = session.execute(text("SELECT called, name, rank, kinds, v2, legacy FROM credit_plan"))
        stored = sorted((called, name, rank, *map(tuple, by_kind)) for called, name, rank, *by_kind in rows)
    assert stored == sorted(
        (called, plan.name, rank, tuple(KINDS), plan.v2.figures, plan.legacy.figures)
        for rank, plan in enumerate(CATALOGUE)
        for called in (plan.name, *plan.aliases)
    )


def test_buckets_are_those_of_every_sdk(consumer: Consumer) -> None:
    keys = [f"{FLAG}:{'ü' * (number % 9)}{number}" for number in range(500)]
    with read_only() as session:
        seen = session.scalars(
            text("SELECT credit_bucket(key) FROM unnest(CAST(:keys AS text[])) AS key"), {"keys": keys}
        ).all()
    assert seen == [mmh3.mmh3_32_uintdigest(key.encode()) % 100 + 1 for key in keys]


def _run_operations(count: int) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
    for number in range(count):
        random_user = RandomUser(number)
        with transaction() as session:
            arrange(session, random_user)
        for step in range(STEPS):
            if random_user.dice.random() < 0.35:
                with transaction() as session:
                    disturb(session, random_user)
            _agree(random_user, f"sequence {number}, step {step}")
    with read_only() as session:
        assert reconcile(session).clean


def _agree(random_user: RandomUser, place: str) -> None:
    """Let both answer one operation in the same state. What the second one wrote stays for the next operation."""
    asked, function_first = operation(random_user), random_user.dice.random() < 0.5
    if random_user.failing:  # only engines in Python can fail: both must go on alike from what such a failure leaves
        random_user.failing = False
        with transaction() as session:
            _answer(session, random_user, asked, by_function=False, engines=Engines(failing, failing))
        return
    with transaction() as session:
        savepoint = session.connection().begin_nested()
        first = _answer(session, random_user, asked, by_function=function_first), _state(session, random_user.user)
        savepoint.rollback()
        second = _answer(session, random_user, asked, by_function=not function_first), _state(session, random_user.user)
    assert first == second, (
        f"{place}: {asked} at {random_user.now}, function first: {function_first}; {_apart(first, second)}"
    )


def _apart(first: Any, second: Any) -> str:
    """Describe where two nested values differ, for the message."""
    if isinstance(first, dict) and isinstance(second, dict):
        return "; ".join(
            f"{name}: {_apart(first[name], second[name])}" for name in first if first[name] != second[name]
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        return "; ".join(_apart(*each) for each in zip(first, second, strict=True) if each[0] != each[1])
    return f"{first!r} / {second!r}"


def _answer(
    session: Session, random_user: RandomUser, asked: Operation, *, by_function: bool, engines: Engines = ENGINES
) -> Any:
    """Return the row that answers and whether it had been given before; or which error it was."""
    allowed_on_error = frozenset(KINDS) if random_user.dice.random() < 0.5 else frozenset()
    policy = EnginePolicy(allowed_on_error=allowed_on_error, engines=engines)
    try:
        with session.connection().begin_nested():
            if by_function:
                return _by_function(session, random_user, asked)
            evaluate_here = _evaluation(session, random_user)
            receipt = consume(session, asked, now=random_user.now, evaluate=evaluate_here, policy=policy)
            row = session.execute(select(JOURNAL).where(JOURNAL.c.id == receipt.journal_id)).mappings().one()
            return _bare(row), receipt.replayed
    except (UnknownUserError, UnknownPlanError, KeyConflictError) as error:
        return type(error)
    except DBAPIError as error:
        return REFUSALS[getattr(error.orig, "sqlstate", "")]


def _by_function(session: Session, random_user: RandomUser, asked: Operation) -> Any:
    values = {
        "user_id": asked.user_id,
        "key": asked.key,
        "asked": list(asked.amounts.stored),
        "actor": asked.actor,
        "now": random_user.now,
        "environment": random_user.environment,
        "override": random_user.environment_switch,
    }
    found = _called(session, values, random_user.dice.random())
    receipt = stored_procedure.receipt_of(found, asked, random_user.now)
    row = session.execute(select(JOURNAL).where(JOURNAL.c.id == receipt.journal_id)).mappings().one()
    assert replace(receipt, replayed=False) == receipts.from_columns(dict(row))
    return _bare(row), receipt.replayed


def _called(session: Session, values: Mapping[str, object], draw: float) -> Any:
    """Return the function's answer, by one of its three ways; what the one for many leaves out is asked alone."""
    if draw < 0.6 and (answers := session.execute(ANSWER_MANY, values).scalar_one()):
        [[_, *answer]] = answers
        return stored_procedures.read(answer)
    statement = OPERATE if draw > 0.8 else ANSWER
    return stored_procedures.read(session.execute(statement, values).scalar_one())


def _evaluation(session: Session, random_user: RandomUser) -> Evaluate:
    """Return the flag as a process of that environment evaluates it; the product's own way where that is this one."""
    if random_user.environment == "production" and random_user.environment_switch is None:
        return evaluate_flag(session, random_user.now)

    def here(account: Account) -> FlagEvaluation:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None:
            return UNPLANNED
        revision, watched_until = flag_store.routing_state(session)
        beta = frozenset({account.user_id} if account.beta else ())
        flag = rollout_flag(
            session,
            rollout,
            random_user.environment,
            revision=revision,
            beta=beta,
            environment_switch=random_user.environment_switch,
        )
        if flag.guard_expires_at == NEVER_BEATEN and watched_until:
            flag = replace(flag, guard_expires_at=watched_until)
        answer = evaluate(flag, customer(account), random_user.now)
        return FlagEvaluation(answer.value, f"{answer.reason}: {answer.detail}", revision)

    return here


def _state(session: Session, user_id: str) -> list[Any]:
    """Return everything that is stored about the credits of a user, rows of the journal counted instead of numbered."""
    journal = _rows(session, JOURNAL, user_id)
    place = {row["id"]: number for number, row in enumerate(sorted(journal, key=lambda row: row["id"]))}
    keys = [{**row, "journal_id": place[row["journal_id"]]} for row in _rows(session, KEYS, user_id)]
    entries = [{**_bare(row), "retry_of": place.get(row["retry_of"])} for row in journal]
    query = select(PACK_ENTRIES).where(PACK_ENTRIES.c.journal_id.in_(place)).order_by(*PACK_ENTRIES.primary_key)
    moves = [(place[row.journal_id], row.pack_id, row.amount) for row in session.execute(query)]
    return [entries, keys, moves, *(_rows(session, table, user_id) for table in (COUNTERS, LEGACY, PACKS))]


def _rows(session: Session, table: Table, user_id: str) -> list[Mapping[str, Any]]:
    query = select(table).where(table.c.user_id == user_id).order_by(*table.primary_key)
    return [dict(row) for row in session.execute(query).mappings()]


def _bare(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in NUMBERED}


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError("no such limit")
