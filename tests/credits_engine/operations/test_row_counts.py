"""What is asked all the time reads what it needs, however long the journal is: rows are counted, and plans are read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db, read_only, transaction
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.operations import account_books
from credits_engine.operations.consumption import Operation, consume
from credits_engine.operations.routing import evaluate_flag, flag_lookup
from credits_engine.reconciliation import totals
from credits_engine.store import accounts, guard_queries, journal, period_openings, running_totals
from credits_engine.store.accounts import Account
from credits_engine.store.journal import Filters
from credits_engine.store.reconciliation import user_totals
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, USERS
from flags.store import beta_members
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import MONTH, NOW
from tests.statements import noted

USERS_STORED, EACH = 400, 25
GROWING = ("credit_journal", "usage_counters", "legacy_book", "operation_key", "directory_user", "credit_tally")
PARTIAL = ("ix_credit_journal_differing", "ix_directory_user_beta")
"""Indexes that hold nothing but what is asked for."""
PAGE = 10
LATER = NOW + timedelta(hours=1)

Work = Callable[[Session], object]


def status(session: Session) -> object:
    found = account_books.read_account_books(session, "user7", LATER)
    assert found
    glance, both = found
    flag_lookup(session, LATER, glance.routing)(glance.account)
    return both


def of_user(**filters: Any) -> Work:
    return lambda session: journal.entries(session, Filters(user_id="user7", **filters), limit=PAGE)


def taken(session: Session) -> object:
    operation = Operation("user7", "new", Amounts(1, 0))
    return consume(session, operation, now=LATER, evaluate=evaluate_flag(session, LATER))


def members(session: Session) -> object:
    return beta_members(session)


def clockwork(session: Session) -> object:
    return period_openings.without_period(session, after="user1", now=LATER, page=PAGE)


WORK: dict[str, tuple[Work, int]] = {
    "status": (status, 5),
    "history": (of_user(), PAGE + 1),
    "an older page": (of_user(before_id=USERS_STORED * EACH // 2), PAGE + 5),
    "history of one kind": (of_user(kind="analysis"), EACH),
    "history of a span": (of_user(since=NOW, until=LATER), EACH),
    "variances": (lambda session: journal.variances(session, Filters(), limit=PAGE), PAGE + 1),
    "charged twice lately": (lambda session: guard_queries.charged_twice(session, LATER), PAGE),
    "one user against the journal": (lambda session: user_totals(session, "user7"), 2 * EACH + 4),
    "a consumption": (taken, 10),
    "who has no period, a page": (clockwork, 2 * PAGE + 1),
    "the beta allowlist": (members, USERS_STORED),
}


@pytest.fixture
def long_journal(consumer: Consumer) -> Consumer:
    """Fill the journal with as many rows as make an index worth its while, all of them folded into the sums."""
    numbers = range(USERS_STORED)
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        run = session.connection().execute
        run(insert(USERS), [_user(number) for number in numbers])
        run(insert(COUNTERS), [_counter(number) for number in numbers])
        run(insert(LEGACY), [_month(number) for number in numbers])
        run(insert(JOURNAL), [_entry(number % USERS_STORED, number) for number in range(USERS_STORED * EACH)])
        flag_lookup(session, NOW)(Account("user7", "pro", NOW, beta=False, billing_anchor=None, frozen=None))
    totals.advance()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return consumer


@pytest.mark.database("postgresql")
def test_no_more_rows_are_read_than_needed(long_journal: Consumer) -> None:
    read = {name: _rows_read_by(work) for name, (work, _) in WORK.items()}
    assert {name: rows for name, rows in read.items() if sum(rows.values()) > WORK[name][1]} == {}


def test_a_status_is_one_statement_and_says_what_several_say(long_journal: Consumer) -> None:
    with read_only() as session:
        with noted() as statements:
            both = status(session)
        found = accounts.find(session, "user7")
        assert found
        assert account_books.read_books(session, found[0], LATER) == both
    assert len(statements) == 1


@pytest.mark.database("postgresql")
def test_an_operation_in_the_database_reads_no_more_rows_than_needed(long_journal: Consumer) -> None:
    with transaction() as session:
        before = _rows_read(session)
        answer = text("SELECT credit_answer('user7', 'new', '{1,0}', 'test', :now, 'production', NULL, NULL, false)")
        assert isinstance(session.scalar(answer, {"now": LATER}), list)
        read = {table: rows - before[table] for table, rows in _rows_read(session).items()}
    assert sum(read.values()) <= 10, read


@pytest.mark.database("postgresql")
def test_comparing_all_books_reads_no_row_of_the_journal_behind_its_mark(long_journal: Consumer) -> None:
    long_journal.take("user7", "new", analysis=1)
    with read_only() as session:
        before = _rows_read(session)["credit_journal"]
        assert running_totals.differing(session)[1] == []
        assert _rows_read(session)["credit_journal"] - before <= 4
    assert totals.advance()


@pytest.mark.database("sqlite")
def test_no_plan_scans_what_grows(long_journal: Consumer) -> None:
    for name, (work, _) in WORK.items():
        with transaction() as session:
            with noted() as statements:
                work(session)
            session.rollback()
        assert statements, name
        assert [step for statement in statements for step in _plan(*statement) if _scans(step)] == [], name


@pytest.mark.database("sqlite")
def test_comparing_all_books_finds_the_rows_behind_the_mark_by_number(long_journal: Consumer) -> None:
    with read_only() as session, noted() as statements:
        assert running_totals.differing(session)[1] == []
    steps = [step for statement in statements for step in _plan(*statement) if "credit_journal" in step]
    assert steps
    assert all("SEARCH credit_journal USING INTEGER PRIMARY KEY" in step for step in steps), steps


def _rows_read_by(work: Work) -> dict[str, int]:
    """Count by table the rows that `work` reads in a transaction of its own, which is taken back."""
    with transaction() as session:
        before = _rows_read(session)
        work(session)
        read = {table: rows - before[table] for table, rows in _rows_read(session).items()}
        session.rollback()
    return read


def _rows_read(session: Session) -> dict[str, int]:
    """Rows that this transaction has read so far, by scans and through indexes."""
    query = text("SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables")
    return {name: rows for name, rows in session.execute(query) if name in GROWING}


def _plan(statement: str, parameters: Any) -> list[str]:
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row.detail for row in rows]


def _scans(step: str) -> bool:
    whole = step.startswith("SCAN ") and any(table in step for table in GROWING)
    return whole and not step.endswith(PARTIAL)


def _user(number: int) -> dict[str, Any]:
    return {"user_id": f"user{number}", "plan": "pro", "signed_up_at": NOW, "beta": False, "updated_at": NOW}


def _counter(number: int) -> dict[str, Any]:
    limits = {"limits": Limits(10_000, 1_000)}
    start = {"user_id": f"user{number}", "period_start": MONTH.start, "period_end": MONTH.end, "plan": "pro"}
    return {**start, **limits, "used": Amounts(EACH)}


def _month(number: int) -> dict[str, Any]:
    return {"user_id": f"user{number}", "month_start": MONTH.start, "used": Amounts(EACH)}


def _entry(user: int, number: int) -> dict[str, Any]:
    counts = ("requested", "charged", "v2_posted", "legacy_posted")
    return {
        **journal.BLANK,
        **dict.fromkeys(counts, Amounts(1)),
        "occurred_at": NOW + timedelta(milliseconds=number),
        "user_id": f"user{user}",
        "type": "consume",
        "operation_key": f"k{number}",
        "served_engine": "v2",
        "outcome": "allowed",
        "reason": "-",
        "variance": "match" if number % 40 else "policy",
        "cause": "",
        "actor": "test",
        "v2_period_start": MONTH.start,
        "legacy_period_start": MONTH.start,
    }
