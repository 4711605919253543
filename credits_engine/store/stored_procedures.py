"""The use case as one statement: PostgreSQL's own `credit_answer`, in a transaction of its own."""

import json
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.amount_types import AmountsType, LimitsType
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.receipts import Columns
from credits_engine.store.tables import JOURNAL

INSTANTS = (
    "occurred_at",
    *(f"{engine.value}_period_{bound}" for engine in EngineName for bound in ("start", "end")),
)

FIGURES = {
    column.name: column.type.made for column in JOURNAL.columns if isinstance(column.type, AmountsType | LimitsType)
}


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
    v2_used: Amounts
    v2_limits: Limits
    v2_us: int
    legacy_outcome: str | None
    legacy_reason: str
    legacy_used: Amounts
    legacy_limits: Limits
    legacy_us: int


class JournalResult(NamedTuple):
    """Of any other operation, its journal row by column name, and whether that had been given before."""

    row: Columns
    replayed: bool


class ProcedureParams(NamedTuple):
    """The function's parameters, in its order.

    `bucket` is the user's, and None leaves it to the function; `lets_pass` says whether an operation that could not be
    decided goes ahead.
    """

    user_id: str
    key: str
    amounts: Amounts
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
    if isinstance(value, Amounts):
        return b"{%s}" % ",".join(map(str, value.stored)).encode()
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


def read(document: Any) -> ShortResult | JournalResult:
    """The function's document: an array for the short answer, an object with the whole row for the long one."""
    if isinstance(document, list):
        *before, v2_used, v2_limits, v2_us, outcome, reason, legacy_used, legacy_limits, legacy_us = document
        v2 = (Amounts(*v2_used), Limits(*v2_limits), v2_us)
        return ShortResult._make(
            (*before, *v2, outcome, reason, Amounts(*legacy_used), Limits(*legacy_limits), legacy_us)
        )
    row = document["entry"]
    figures = {name: None if row[name] is None else made(*row[name]) for name, made in FIGURES.items()}
    instants = {name: datetime.fromisoformat(row[name]) for name in INSTANTS}
    return JournalResult(row | instants | figures, document["replayed"])
