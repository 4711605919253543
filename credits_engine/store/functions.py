"""The use case as one statement: PostgreSQL's own `credit_answer`, in a transaction of its own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from control_plane.platform import alone
from credits_engine.engines.decisions import EngineName

ANSWER = "SELECT credit_answer(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
INSTANTS = (
    "occurred_at",
    *(f"{engine.value}_period_{bound}" for engine in EngineName for bound in ("start", "end")),
)


class ShortAnswer(NamedTuple):
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


class LongAnswer(NamedTuple):
    """Of any other operation, its journal row by column name, and whether that had been given before."""

    row: Mapping[str, Any]
    replayed: bool


def answer(parameters: Sequence[Any]) -> ShortAnswer | LongAnswer:
    """What the function answers, committed.

    `parameters` are user, key, analysis, roast, actor, now, environment, the environment variable, the user's bucket,
    and whether an operation that could not be decided goes ahead. Raises DBAPIError with the function's own SQLSTATE.
    """
    ((document,),) = alone.rows_of(ANSWER, parameters)
    return read(document)


def read(document: Any) -> ShortAnswer | LongAnswer:
    """The function's document: an array for the short answer, an object with the whole row for the long one."""
    if isinstance(document, list):
        return ShortAnswer._make(document)
    row = document["entry"]
    return LongAnswer(row | {name: datetime.fromisoformat(row[name]) for name in INSTANTS}, document["replayed"])
