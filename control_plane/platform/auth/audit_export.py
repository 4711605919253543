"""The audit trail as a file: JSON lines, or CSV for a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum

from control_plane.platform.auth.audit import AuditEntry, to_json
from control_plane.platform.csv_cells import plain

CONTENT = ("before", "after")


class Format(StrEnum):
    """The form of an export."""

    JSON_LINES = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """Return the type for HTTP."""
        return "text/csv" if self is Format.CSV else "application/jsonl"


def lines(entries: Iterable[AuditEntry], form: Format) -> Iterator[str]:
    """Write each entry as a line, as they come."""
    if form is Format.JSON_LINES:
        yield from (json.dumps(to_json(entry), ensure_ascii=False) + "\n" for entry in entries)
        return
    names = tuple(AuditEntry.__dataclass_fields__)
    yield _row(names)
    for entry in entries:
        document = to_json(entry)
        for name in CONTENT:
            content = document[name]
            document[name] = "" if content is None else json.dumps(content, ensure_ascii=False)
        yield _row(document[name] for name in names)


def _row(cells: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([plain(cell) for cell in cells])
    return buffer.getvalue()
