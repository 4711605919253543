"""The journal as a stream: every row exactly once, however often somebody goes on, while others write."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from control_plane.platform.db.database import read_only
from credits_engine.api import journal_export
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store import journal_export as store
from credits_engine.store.journal_export import Horizon
from credits_engine.store.tables import JOURNAL
from flags.store import UserAttributes
from tests.installation import Installation

NOW = datetime.now(UTC)
URL = "/api/admin/credits/journal/export"


@pytest.fixture(autouse=True)
def users(app: Flask) -> Iterator[None]:
    """Some users, one of whom has a name that a spreadsheet would take for a formula."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "free", NOW - timedelta(days=90)) for user in ("ada", "=1+1")))
    with app.app_context():
        yield


def take(user: str, key: str) -> None:
    run_operation(Operation(user, key, Amounts(analysis=1), "test"), now=NOW)


def test_a_cursor_leads_through_it_once_in_both_formats(sign_in: Callable[[str], FlaskClient]) -> None:
    for number in range(5):
        take("ada", f"k{number}")
    take("=1+1", "k9")
    alice = sign_in("alice")
    first = alice.get(f"{URL}?limit=4")
    rows = list(csv.DictReader(io.StringIO(first.get_data(as_text=True))))
    cursor = first.headers["X-Next-Cursor"]
    second = alice.get(f"{URL}?after={cursor}&format=jsonl")
    documents = [json.loads(line) for line in second.get_data(as_text=True).splitlines()]
    with read_only() as session:
        ids = list(session.scalars(select(JOURNAL.c.id).order_by(JOURNAL.c.id)))
    assert [int(row["id"]) for row in rows] + [each["id"] for each in documents] == ids
    assert rows[-1]["v2.used.analysis"] == "3"
    assert documents[-1]["userId"] == "=1+1"
    assert "'=1+1" in alice.get(f"{URL}?after={ids[-2]}").get_data(as_text=True)
    after_all = alice.get(f"{URL}?after={second.headers['X-Next-Cursor']}")
    assert (after_all.get_data(), after_all.headers["X-Next-Cursor"]) == (b"", str(ids[-1]))


def test_what_is_written_meanwhile_is_read_once_as_well(app: Flask, sign_in: Callable[[str], FlaskClient]) -> None:
    alice, seen, cursor = sign_in("alice"), [], "0"

    def write(number: int) -> None:
        with app.app_context():
            take("ada", f"k{number}")

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write, number) for number in range(40)]
        while True:
            is_over = all(each.done() for each in done)
            answer = alice.get(f"{URL}?format=jsonl&limit=7&after={cursor}")
            seen += [json.loads(line)["id"] for line in answer.get_data(as_text=True).splitlines()]
            if is_over and answer.headers["X-Next-Cursor"] == cursor:
                break
            cursor = answer.headers["X-Next-Cursor"]
    with read_only() as session:
        assert seen == list(session.scalars(select(JOURNAL.c.id).order_by(JOURNAL.c.id)))
        assert session.scalars(select(func.count()).select_from(JOURNAL)).one() >= 40


def test_while_an_older_transaction_runs_nothing_is_read_past_it(
    sign_in: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = sign_in("alice")
    monkeypatch.setattr(journal_export, "PATIENCE_SECONDS", 0.1)
    with read_only() as session:
        assert store.is_final(session, Horizon(0, None))
    monkeypatch.setattr(store, "is_final", lambda *_: False)
    assert alice.get(URL).get_json()["code"] == "TRANSACTION_RUNNING"


def test_owners_alone_and_readable_questions(sign_in: Callable[[str], FlaskClient]) -> None:
    assert sign_in("olga").get(URL).status_code == 403
    alice = sign_in("alice")
    for query, code in (("format=xls", "UNKNOWN_FORMAT"), ("after=-1", "INVALID_AFTER"), ("limit=x", "INVALID_LIMIT")):
        assert alice.get(f"{URL}?{query}").get_json()["code"] == code
