"""A usage log: one credit operation per CSV row. Rows that can't be used are named by line and passed over."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from flags.evaluation.bucketing import refused_user_id

COLUMNS = ("operation_id", "occurred_at", "user_id", "signed_up_at", "plan", "kind", "credits")
MISTAKES_MAX = 20
UNUSABLE_SHARE_MAX = 0.01


class UsageLogError(ValueError):
    """The log as a whole can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One operation that somebody asked for."""

    line: int
    operation_id: str
    occurred_at: datetime
    user_id: str
    signed_up_at: datetime | None
    plan: str
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class LogError:
    """A row that can't be used, and why."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}"


@dataclass(slots=True)
class LogSummary:
    """The result of a first pass over a log; only the first errors are stored, all are counted."""

    usable: int = 0
    unusable: int = 0
    begins_at: datetime | None = None
    first_users: list[str] = field(default_factory=list)
    mistakes: list[LogError] = field(default_factory=list)

    @property
    def share_unusable(self) -> float:
        return self.unusable / max(1, self.usable + self.unusable)


def read(path: Path) -> Iterator[UsageRow | LogError]:
    """Yield every row of the log, in its order; one row in memory at a time.

    Raises UsageLogError for missing columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from _rows(csv.DictReader(file), path)
    except OSError as error:
        raise UsageLogError(f"{path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageLogError(f"{path} is no CSV file in UTF-8: {error}.") from error


def scan(path: Path, *, users: int) -> LogSummary:
    """Read the whole log once before anything runs; raises UsageLogError if too much of it can't be used."""
    found = LogSummary()
    for row in read(path):
        if isinstance(row, LogError):
            found.unusable += 1
            if len(found.mistakes) < MISTAKES_MAX:
                found.mistakes.append(row)
            continue
        found.usable += 1
        found.begins_at = found.begins_at or row.occurred_at
        if len(found.first_users) < users and row.user_id not in found.first_users:
            found.first_users.append(row.user_id)
    if not found.usable:
        raise UsageLogError(f"{path} has no usable row.{_first(found)}")
    if found.share_unusable > UNUSABLE_SHARE_MAX:
        share = f"{found.unusable} of {found.usable + found.unusable} rows ({found.share_unusable:.1%})"
        raise UsageLogError(f"{path}: {share} can't be used, more than {UNUSABLE_SHARE_MAX:.0%}.{_first(found)}")
    return found


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[UsageRow | LogError]:
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise UsageLogError(f"{path} lacks the columns {', '.join(missing)}; it needs {', '.join(COLUMNS)}.")
    latest: datetime | None = None
    for values in reader:
        try:
            row = _row(reader.line_num, values)
        except ValueError as error:
            yield LogError(reader.line_num, str(error))
            continue
        if latest and row.occurred_at < latest:
            yield LogError(
                row.line, f"occurred_at {values['occurred_at']} is before the row above; sort the log by it."
            )
            continue
        latest = row.occurred_at
        yield row


def _row(line: int, values: dict[str, Any]) -> UsageRow:
    kind, amount = values["kind"], _amount(values["credits"])
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; write {' or '.join(KINDS)}.")
    user_id = values["user_id"] or ""
    if refusal := refused_user_id(user_id):
        raise ValueError(refusal)
    if not values["operation_id"]:
        raise ValueError("operation_id is empty.")
    try:
        plan = CATALOGUE.plan(values["plan"] or "").name
    except UnknownPlanError as error:
        raise ValueError(str(error)) from error
    amounts = Amounts(**{kind: amount})
    signed_up_at = _instant("signed_up_at", values["signed_up_at"]) if values["signed_up_at"] else None
    occurred_at = _instant("occurred_at", values["occurred_at"])
    return UsageRow(line, values["operation_id"], occurred_at, user_id, signed_up_at, plan, amounts)


def _instant(column: str, text: str | None) -> datetime:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        raise ValueError(f"{column} is {text!r}; write it as 2026-01-31T08:00:00Z.") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _amount(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ValueError(f"credits is {text!r}; write a whole number from 1 to 1000000.")
    return int(text)


def _first(found: LogSummary) -> str:
    return "".join(f" {mistake}" for mistake in found.mistakes[:3])
