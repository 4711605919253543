"""The use case as one statement: PostgreSQL's own `credit_answer`, in a transaction of its own."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.decisions import EngineName

INSTANTS = (
    "occurred_at",
    *(f"{engine.value}_period_{bound}" for engine in EngineName for bound in ("start", "end")),
)


class ShortResult(NamedTuple):
    """Of an operation that both engines allowed, what its caller can't know; as the function writes it, in its order.

    `legacy_outcome` is None where legacy is retired and was not asked. What was used is before this operation.
    """

    journal_id: int
    by_v2: bool
    evaluation_reason: str
    flag_revision: int
    v2_start: str
    v2_end: str
    v2_reason: str
    v2_used_analysis: int
    v2_used_roast: int
    v2_limit_analysis: int | None
    v2_limit_roast: int | None
    v2_us: int
    legacy_outcome: str | None
    legacy_reason: str
    legacy_used_analysis: int
    legacy_used_roast: int
    legacy_limit_analysis: int | None
    legacy_limit_roast: int | None
    legacy_us: int


class JournalResult(NamedTuple):
    """Of any other operation, its journal row by column name, and whether that had been given before."""

    row: Mapping[str, Any]
    replayed: bool


class ProcedureParams(NamedTuple):
    """The function's parameters, in its order.

    `bucket` is the user's, and None leaves it to the function; `lets_pass` says whether an operation that could not be
    decided goes ahead.
    """

    user_id: str
    key: str
    analysis: int
    roast: int
    actor: str
    now: datetime
    environment: str
    override: bool | None
    bucket: int | None
    lets_pass: bool


ANSWER = CompiledStatement(text(f"SELECT credit_answer({', '.join(f':{name}' for name in ProcedureParams._fields)})"))


def call(question: ProcedureParams) -> ShortResult | JournalResult:
    """Call the function and commit. Raises DBAPIError with the function's own SQLSTATE."""
    return read(json.loads(ANSWER.fetch_value(list(map(_text, question)))))


def _text(value: object) -> bytes | None:
    """A value as PostgreSQL reads it."""
    if value is None:
        return None
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


def read(document: Any) -> ShortResult | JournalResult:
    """The function's document: an array for the short answer, an object with the whole row for the long one."""
    if isinstance(document, list):
        return ShortResult._make(document)
    row = document["entry"]
    return JournalResult(row | {name: datetime.fromisoformat(row[name]) for name in INSTANTS}, document["replayed"])
