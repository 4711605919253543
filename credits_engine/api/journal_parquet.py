"""The journal as a Parquet file, written while it is read: some thousand rows at a time, typed, with one schema.

By pyarrow, which is an extra: nothing else here needs it, and it is larger than all the rest together. A stream that
breaks off has no footer, so nobody can take a part of the file for the whole.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any

from control_plane.platform.problems import Problem
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import Columns
from credits_engine.store.tables import JOURNAL

MEDIA_TYPE = "application/vnd.apache.parquet"
ROWS_AT_ONCE = 10_000
MOMENTS = ("occurredAt", "v2.periodStart", "v2.periodEnd", "legacy.periodStart", "legacy.periodEnd")
NUMBERS = ("id", "flagRevision", "corrects", "retryOf", "v2.microseconds", "legacy.microseconds")
AMOUNTS = (
    "requested",
    "charged",
    "fromPacks",
    *(f"{name}.{what}" for name in ("v2", "legacy") for what in ("posted", "used", "limit", "charged")),
)

Flat = Callable[[Columns], Mapping[str, object]]


class _Sink(io.RawIOBase):
    """What was written since it was taken last; pyarrow writes a file without ever going back in it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, part: Any, /) -> int:
        """Keep what is written until it is taken."""
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        """Return what was written since, and forget it."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def require_installed() -> None:
    """Raise Problem where the extra is not installed."""
    if find_spec("pyarrow") is None:
        sentence = "This server writes no Parquet; install the extra `parquet`, or ask for csv or jsonl."
        raise Problem(501, "PARQUET_NOT_INSTALLED", sentence)


def stream(rows: Iterable[Columns], flat: Flat) -> Iterator[bytes]:
    """Yield the file in parts; without any row it is one that says what columns there are."""
    import pyarrow  # noqa: PLC0415 - heavy, and an extra
    from pyarrow import parquet  # noqa: PLC0415 - likewise

    schema, sink = _schema(pyarrow, flat), _Sink()
    remaining = iter(rows)
    with parquet.ParquetWriter(sink, schema) as writer:
        while part := [_typed(flat(row)) for row in islice(remaining, ROWS_AT_ONCE)]:
            writer.write_table(pyarrow.Table.from_pylist(part, schema=schema))
            yield sink.take()
    yield sink.take()


def _schema(pyarrow: Any, flat: Flat) -> Any:
    """Return the schema of every row: the columns of one that says nothing, whatever others leave out."""
    blank: dict[str, object] = {column.name: None for column in JOURNAL.c}
    blank |= {"occurred_at": datetime.fromtimestamp(0, UTC), "type": "", "requested": Amounts(), "charged": Amounts()}
    blank |= {"v2_posted": Amounts(), "legacy_posted": Amounts()}
    return pyarrow.schema([(name, _type(pyarrow, name)) for name in flat(blank)])


def _type(pyarrow: Any, name: str) -> Any:
    if name in MOMENTS:
        return pyarrow.timestamp("us", tz="UTC")
    return pyarrow.int64() if name in NUMBERS or name.rpartition(".")[0] in AMOUNTS else pyarrow.string()


def _typed(cells: Mapping[str, object]) -> dict[str, object]:
    return {name: _moment(value) if name in MOMENTS and value else value for name, value in cells.items()}


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))
