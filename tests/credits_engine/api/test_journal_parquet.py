"""The journal as Parquet: the same rows as JSON lines, typed, with one schema, whole or unreadable."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import util

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyarrow import ArrowInvalid, parquet

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import corrections
from credits_engine.api import journal_export, journal_parquet
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store import journal_export as store
from flags.store import UserAttributes
from tests.installation import Installation

NOW = datetime.now(UTC)
URL = "/api/admin/credits/journal/export"


@pytest.fixture(autouse=True)
def journal(app: Flask) -> Iterator[None]:
    """Rows of several types, the first of which no engine has answered."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "free", NOW - timedelta(days=90)) for user in ("ada", "=1+1")))
    with app.app_context():
        with transaction() as session:
            change = ChangeContext(NOW, "alice", "First of all: “ñ”.")
            corrections.freeze(session, "ada", change)
            corrections.unfreeze(session, "ada", change)
        for number in range(5):
            run_operation(Operation("ada", f"k{number}", Amounts(analysis=number + 1), "test"), now=NOW)
        run_operation(Operation("=1+1", "k", Amounts(roast=99), "test"), now=NOW)
        yield


@pytest.mark.parametrize("at_once", [2, 10_000])
def test_it_holds_the_rows_of_the_other_formats_typed(
    sign_in: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(journal_parquet, "ROWS_AT_ONCE", at_once)
    alice = sign_in("alice")
    answer = alice.get(f"{URL}?format=parquet")
    assert answer.mimetype == "application/vnd.apache.parquet"
    file = parquet.ParquetFile(io.BytesIO(answer.get_data()))
    assert (file.num_row_groups > 1) is (at_once == 2)
    rows = file.read().to_pylist()
    lines = [json.loads(line) for line in alice.get(f"{URL}?format=jsonl").get_data(as_text=True).splitlines()]
    assert len(rows) == len(lines) > 6
    for row, line in zip(rows, lines, strict=True):
        assert row["id"] == line["id"]
        assert row["occurredAt"] == datetime.fromisoformat(line["occurredAt"])
        assert (row["reason"], row["userId"], row["outcome"]) == (line["reason"], line["userId"], line["outcome"])
        assert [row[f"charged.{kind}"] for kind in KINDS] == [line["charged"][kind] for kind in KINDS]
        assert [row[f"v2.limit.{kind}"] for kind in KINDS] == [line["v2"]["limit"][kind] for kind in KINDS]
        assert json.loads(row["context"] or "null") == line["context"]
    assert rows[-1]["userId"] == "=1+1", "no spreadsheet reads it, so nothing stands before it"


def test_every_export_has_one_schema_and_a_cursor_leads_through_it_once(
    sign_in: Callable[[str], FlaskClient],
) -> None:
    alice, cursor, ids, schemas = sign_in("alice"), "0", [], []
    while True:
        answer = alice.get(f"{URL}?format=parquet&limit=3&after={cursor}")
        table = parquet.read_table(io.BytesIO(answer.get_data()))
        schemas.append(table.schema)
        ids += table.column("id").to_pylist()
        if answer.headers["X-Next-Cursor"] == cursor:
            break
        cursor = answer.headers["X-Next-Cursor"]
    assert table.num_rows == 0
    assert all(each == schemas[0] for each in schemas)
    csv_ids = [line.split(",")[0] for line in alice.get(URL).get_data(as_text=True).splitlines()[1:]]
    assert [str(each) for each in ids] == csv_ids
    types = {str(schemas[0].field(name).type) for name in ("occurredAt", "v2.periodEnd")}
    assert types == {"timestamp[us, tz=UTC]"}


def test_a_stream_that_breaks_off_is_no_file(app: Flask) -> None:
    whole = b"".join(journal_parquet.stream(store.rows(0, 10**9), journal_export._flat))
    assert parquet.read_table(io.BytesIO(whole)).num_rows > 6
    with pytest.raises(ArrowInvalid):
        parquet.read_table(io.BytesIO(whole[:-200]))


def test_without_the_extra_it_is_said_and_the_other_formats_go_on(
    sign_in: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_parquet, "find_spec", lambda name: None if name == "pyarrow" else util.find_spec(name))
    alice = sign_in("alice")
    answer = alice.get(f"{URL}?format=parquet")
    assert (answer.status_code, answer.get_json()["code"]) == (501, "PARQUET_NOT_INSTALLED")
    assert alice.get(URL).status_code == 200
    assert sign_in("olga").get(f"{URL}?format=parquet").status_code == 403
