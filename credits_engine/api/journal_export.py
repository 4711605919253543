"""The whole journal as a stream for a warehouse: CSV, JSON lines or Parquet, with a cursor, each row exactly once."""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator

from flask import Blueprint, Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from control_plane.platform.auth.authorization import require_role
from control_plane.platform.csv_cells import plain
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.api import journal_entries, journal_parquet, query_params
from credits_engine.api.journal_entries import NEXT_HEADER
from credits_engine.engines.receipts import Columns
from credits_engine.store import journal_export
from credits_engine.store.journal_export import Horizon

bp = Blueprint("credits_journal", __name__, url_prefix="/api/admin/credits/journal")

ROWS_MAX = 1_000_000
ROWS = 100_000
ID_MAX = 2**63 - 1
PATIENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.05
FORMATS = {"csv": "text/csv", "jsonl": "application/jsonl", "parquet": journal_parquet.MEDIA_TYPE}
QUERY = {
    "after": f"The `{NEXT_HEADER}` of the export before; from the beginning without it.",
    "limit": f"At most so many rows, {ROWS:,} by default and {ROWS_MAX:,} at most.",
    "format": "csv (default), jsonl, or parquet where the extra is installed.",
}


@bp.get("/export")
@require_role("owner")
@openapi_doc(query=QUERY, answers={200: "text/csv"})
def export_view() -> ResponseReturnValue:
    """Return the journal's rows after a cursor, the oldest first; `X-Next-Cursor` says where the next export begins."""
    query_params.refuse_unknown(*QUERY)
    after, most = _number("after", 0, ID_MAX), _number("limit", ROWS, ROWS_MAX)
    form = request.args.get("format", "csv")
    if form not in FORMATS:
        raise Problem(400, "UNKNOWN_FORMAT", f"format is {form[:50]!r}; use csv, jsonl or parquet.")
    if form == "parquet":
        journal_parquet.require_installed()
    found = _final_horizon()
    with read_only() as session:
        last = journal_export.last_id(session, after, found, most)
    rows = journal_export.rows(after, last)
    headers = {"Content-Disposition": f'attachment; filename="credits-journal.{form}"', NEXT_HEADER: str(last)}
    return Response(stream_with_context(_written(form, rows)), mimetype=FORMATS[form], headers=headers)


def _final_horizon() -> Horizon:
    """Return how far the journal goes, once nothing can come below it any more. Raises Problem."""
    with read_only() as session:
        found = journal_export.horizon(session)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        with read_only() as session:
            if journal_export.is_final(session, found):
                return found
        if time.monotonic() >= give_up:
            raise Problem(503, "TRANSACTION_RUNNING", "A transaction has been running for long; try again in a moment.")
        time.sleep(PAUSE_SECONDS)


def _written(form: str, rows: Iterable[Columns]) -> Iterator[str] | Iterator[bytes]:
    match form:
        case "csv":
            return _csv(rows)
        case "parquet":
            return journal_parquet.stream(rows, _flat)
        case _:
            return _json_lines(rows)


def _flat(row: Columns) -> dict[str, object]:
    document = journal_entries.full_entry(row)
    # As one cell: what it holds differs from row to row, and columns must not.
    return journal_entries.flat(
        document | {"context": json.dumps(document["context"]) if document["context"] else None}
    )


def _csv(rows: Iterable[Columns]) -> Iterator[str]:
    names: list[str] | None = None
    for row in rows:
        cells = _flat(row)
        if names is None:
            names = list(cells)
            yield _line(names)
        yield _line([plain(cells.get(name)) for name in names])


def _json_lines(rows: Iterable[Columns]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(journal_entries.full_entry(row), separators=(",", ":")) + "\n"


def _line(cells: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= most):
        raise Problem(400, f"INVALID_{name.upper()}", f"{name} is {text[:50]!r}; write a whole number up to {most}.")
    return int(text)
