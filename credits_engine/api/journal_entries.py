"""Journal rows in the words of the API and of spreadsheets."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote

from flask import Response

from control_plane.platform.csv_cells import plain
from credits_engine.api.serializers import Document, by_kind, instant
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.memberships import own_key
from credits_engine.engines.receipts import Columns
from credits_engine.store.journal import OPERATIONS, Page

NEXT_HEADER = "X-Next-Cursor"
PLAIN = ("used", "limit", "charged")


def own_entry(row: Columns) -> Document:
    """Serialize an operation for its user: the request, the charge and the reason."""
    return {
        "id": row["id"],
        "type": row["type"],
        "occurredAt": instant(row["occurred_at"]),
        "idempotencyKey": own_key(row["operation_key"]) if row["operation_key"] else None,
        "requested": _by_kind(row, "requested"),
        "charged": _by_kind(row, "charged"),
        "fromPacks": _from_packs(row),
        "outcome": row["outcome"],
        "engine": row["served_engine"],
        "reason": row["reason"],
    }


def full_entry(row: Columns) -> Document:
    """Return everything about an operation: both answers, what they were based on, and how they differ."""
    return own_entry(row) | {
        "userId": row["user_id"],
        "actor": row["actor"],
        "variance": row["variance"],
        "cause": row["cause"],
        "evaluation": row["evaluation_reason"],
        "flagRevision": row["flag_revision"],
        "corrects": row["corrects"],
        "retryOf": row["retry_of"],
        "context": row["context"],
        **{engine.value: _engine_result(row, engine) for engine in EngineName},
    }


def page(found: Page, entry: Callable[[Columns], Document]) -> Document:
    """Return one page, and where the next one begins."""
    following = found.next_before
    return {
        "entries": [entry(row) for row in found.rows],
        "hasMore": found.has_more,
        "nextCursor": None if following is None else str(following),
    }


def sheet(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, after: str | int | None = None
) -> Response:
    """Return a CSV file in which no cell can act as a formula. Where there is more, a header says where that begins."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([[plain(value) for value in row] for row in rows])
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if after is not None:
        headers[NEXT_HEADER] = quote(str(after))
    return Response(buffer.getvalue(), mimetype="text/csv", headers=headers)


def flat(document: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return a document as one row: nested names are joined by a dot."""
    found: dict[str, object] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _engine_result(row: Columns, engine: EngineName) -> Document:
    name = engine.value
    start, end = row[f"{name}_period_start"], row[f"{name}_period_end"]
    return {
        "outcome": row[f"{name}_outcome"],
        "periodStart": instant(start) if start else None,
        "periodEnd": instant(end) if end else None,
        "posted": _by_kind(row, f"{name}_posted"),
        **{what: _by_kind(row, f"{name}_{what}") for what in PLAIN},
        "microseconds": row[f"{name}_us"],
    }


def _from_packs(row: Columns) -> Document:
    """Return the part of a charge that packs paid: all that was not posted to a book; negative for refunds."""
    if row["type"] in OPERATIONS:
        return by_kind(row["charged"] - row["v2_posted"])
    return by_kind(Amounts(*(row["context"] or {}).get("drawn", ())))


def _by_kind(row: Columns, name: str) -> Document:
    return dict.fromkeys(KINDS) if row[name] is None else by_kind(row[name])
