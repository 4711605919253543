"""The use case as one statement: PostgreSQL's own `credit_answer`, in a transaction of its own or one with others."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
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
    """What the caller of an operation that both engines allowed can't know, in the order of the function.

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
    environment_switch: bool | None
    bucket: int | None
    lets_pass: bool


ANSWER = CompiledStatement(text(f"SELECT credit_answer({', '.join(f':{name}' for name in ProcedureParams._fields)})"))
OF_SESSION = text(f"SELECT credit_answer({', '.join(f':{name}' for name in ProcedureParams._fields)})")
ANSWER_MANY = CompiledStatement(
    text(
        "SELECT credit_answer_many(:users, :keys, :amounts, :actors, :moments, :buckets, :turns,"
        " :environment, :environment_switch)"
    )
)


def call(params: ProcedureParams) -> ShortResult | JournalResult:
    """Call the function and commit. Raises DBAPIError with the function's own SQLSTATE."""
    return read(json.loads(ANSWER.fetch_value(list(map(_text, params)))))


def try_call(session: Session, params: ProcedureParams) -> None:
    """Call the function in a transaction that goes on. Raises DBAPIError with the function's own SQLSTATE."""
    values = {name: _text(value) for name, value in params._asdict().items()}
    execute_core(session, OF_SESSION, {name: value and value.decode() for name, value in values.items()})


def call_many(batch: Sequence[ProcedureParams]) -> Sequence[ShortResult | None]:
    """Answer what has a short answer, all in one transaction, and commit; None for what is to be asked alone.

    All are of one server: in the environment and with the environment switch of the first.
    """
    first, occurrences = batch[0], Counter[str]()
    turns = []
    for params in batch:
        occurrences[params.user_id] += 1
        turns.append(occurrences[params.user_id])
    columns: tuple[Sequence[object], ...] = (
        [params.user_id for params in batch],
        [params.key for params in batch],
        [params.amounts for params in batch],
        [params.actor for params in batch],
        [params.now for params in batch],
        [params.bucket for params in batch],
        turns,
    )
    texts = [*map(_array, columns), _text(first.environment), _text(first.environment_switch)]
    answers: list[ShortResult | None] = [None] * len(batch)
    for place, *answer in json.loads(ANSWER_MANY.fetch_value(texts)):
        answers[place] = _short(answer)
    return answers


def _array(values: Sequence[object]) -> bytes:
    """Return an array as PostgreSQL reads it; each value is quoted, so none can end it."""
    return b"{%s}" % b",".join(map(_element, values))


def _element(value: object) -> bytes:
    text = _text(value)
    return b"NULL" if text is None else b'"%s"' % text.replace(b"\\", rb"\\").replace(b'"', rb"\"")


def _text(value: object) -> bytes | None:
    """Return a value as PostgreSQL reads it."""
    if value is None:
        return None
    if isinstance(value, Amounts):
        return b"{%s}" % ",".join(map(str, value.stored)).encode()
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


def read(document: Any) -> ShortResult | JournalResult:
    """Return the function's document: an array for the short answer, an object with the whole row for the long one."""
    if isinstance(document, list):
        return _short(document)
    row = document["entry"]
    figures = {name: None if row[name] is None else made(*row[name]) for name, made in FIGURES.items()}
    instants = {name: datetime.fromisoformat(row[name]) for name in INSTANTS}
    return JournalResult(row | instants | figures, document["replayed"])


def _short(answer: Sequence[Any]) -> ShortResult:
    *before, v2_used, v2_limits, v2_us, outcome, reason, legacy_used, legacy_limits, legacy_us = answer
    v2 = (Amounts(*v2_used), Limits(*v2_limits), v2_us)
    return ShortResult._make((*before, *v2, outcome, reason, Amounts(*legacy_used), Limits(*legacy_limits), legacy_us))
