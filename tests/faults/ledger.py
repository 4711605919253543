"""What must be true of journal, books and packs after any fault, asked of the database itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask
from sqlalchemy import select

from control_plane.platform.db.database import read_only
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.tables import JOURNAL, KEYS

OPERATIONS = ("consume", "reserve")


def amounts(row: Mapping[str, Any], name: str) -> Amounts:
    """Return the amounts of one column."""
    return row[name] or NOTHING


def assert_whole(app: Flask) -> list[Mapping[str, Any]]:
    """Books and packs equal the journal, no key charged twice, usage continuous; gives the journal, oldest first."""
    with app.app_context(), read_only() as session:
        found = reconcile(session)
        rows: list[Mapping[str, Any]] = [
            dict(row) for row in session.execute(select(JOURNAL).order_by(JOURNAL.c.id)).mappings()
        ]
        answers = {(row.user_id, row.key): row.journal_id for row in session.execute(select(KEYS))}
    assert found.clean, (found.found, found.differences[:3], found.packs)
    assert charged_twice(rows) == []
    assert jumps(rows) == []
    known = {row["id"]: row for row in rows}
    assert all(known[journal_id]["operation_key"] == key for (_, key), journal_id in answers.items())
    return rows


def charged_twice(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Keys of operations that were charged more than once."""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row["type"] in OPERATIONS and amounts(row, "charged") != NOTHING:
            seen[row["user_id"], row["operation_key"]] += 1
    return [key for key, times in seen.items() if times > 1]


def jumps(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Rows in which an engine judged by another usage than the rows before it add up to."""
    sums: dict[tuple[Any, ...], Amounts] = defaultdict(Amounts)
    found = []
    for row in rows:
        for engine in EngineName:
            place = row["user_id"], engine, row[f"{engine}_period_start"]
            judged = row["type"] in OPERATIONS and row[f"{engine}_used"] is not None
            if judged and amounts(row, f"{engine}_used") != sums[place]:
                found.append(row["id"])
            sums[place] += amounts(row, f"{engine}_posted")
    return found
