"""The receipt of an operation, returned again on a retry: one journal row as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.decisions import Book, EngineName, Outcome, remaining
from credits_engine.engines.observation import Observation
from credits_engine.engines.periods import Period

REASON_CHARACTERS = 300

Columns = Mapping[str, Any]
"""A journal row by column name."""


class EntryType(StrEnum):
    """The type of a journal row. Whatever is not an operation is a correction with an actor and a reason."""

    CONSUME = "consume"
    RESERVE = "reserve"
    COMMIT = "commit"
    RELEASE = "release"
    EXPIRE = "expire"
    LIMIT_CHANGE = "limit_change"
    PERIOD_CLOSE = "period_close"
    RESET = "reset"
    ADJUST = "adjust"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    IMPORT = "import"
    TOP_UP = "top_up"
    PACK_EXPIRE = "pack_expire"
    PACK_REVOKE = "pack_revoke"
    ROLLOVER = "rollover"
    PACK_TRANSFER = "pack_transfer"


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One engine's part in an operation. `outcome` is None where it was not asked; `used` is before `posted`.

    `bought` is what packs hold afterwards, the same on both sides.
    """

    engine: EngineName
    outcome: Outcome | None
    charged: Amounts
    used: Amounts
    limits: Limits
    period: Period
    posted: Amounts
    duration_us: int
    reason: str
    bought: Amounts = NOTHING

    @property
    def remaining(self) -> Limits:
        """Return what this engine's book and the packs hold after the operation, whoever served it."""
        return remaining(self.limits, self.used + self.posted, bought=self.bought)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One operation as it was answered. `replayed` tells that this answer had been given before.

    `uncharged` is an error whose caller was let go ahead all the same, at nobody's cost.
    """

    journal_id: int
    type: EntryType
    occurred_at: datetime
    user_id: str
    operation_key: str
    requested: Amounts
    charged: Amounts
    outcome: Outcome
    reason: str
    served: EngineResult
    shadow: EngineResult
    comparison: Comparison
    flag_revision: int
    evaluation_reason: str
    actor: str
    retry_of: int | None = None
    replayed: bool = False
    uncharged: bool = False

    @property
    def spent_from_packs(self) -> Amounts:
        """The part of the charge that packs paid, because the plan was spent."""
        return self.charged - self.served.posted

    @property
    def granted(self) -> bool:
        """Return whether the caller may do what was requested."""
        return self.outcome is Outcome.ALLOWED or self.uncharged


def engine_result(observation: Observation, book: Book, posted: Amounts, from_packs: Amounts = NOTHING) -> EngineResult:
    """Build the journal's record of one engine's answer; without one, of the book it was asked about."""
    decision = observation.decision
    return EngineResult(
        engine=observation.engine,
        outcome=None if observation.skipped else observation.outcome,
        charged=decision.charged if decision else NOTHING,
        used=decision.used if decision else book.used,
        limits=decision.limits if decision else book.limits,
        period=book.period,
        posted=posted,
        duration_us=observation.duration_us,
        reason=(decision.reason if decision else observation.error or "")[:REASON_CHARACTERS],
        bought=book.bought - from_packs,
    )


def to_columns(receipt: Receipt) -> dict[str, object]:
    """Return the journal row of a receipt, without its id."""
    return {
        "type": receipt.type.value,
        "occurred_at": receipt.occurred_at,
        "user_id": receipt.user_id,
        "operation_key": receipt.operation_key,
        "requested": receipt.requested,
        "charged": receipt.charged,
        "served_engine": receipt.served.engine.value,
        "outcome": receipt.outcome.value,
        "reason": receipt.reason,
        "shadow_reason": receipt.shadow.reason,
        "flag_revision": receipt.flag_revision,
        "evaluation_reason": receipt.evaluation_reason,
        "variance": None if receipt.comparison.variance is Variance.RETIRED else receipt.comparison.variance.value,
        "cause": receipt.comparison.cause,
        "retry_of": receipt.retry_of,
        "corrects": None,
        "actor": receipt.actor,
        "context": _context(receipt),
        **_engine_columns(receipt.served),
        **_engine_columns(receipt.shadow),
    }


def from_columns(row: Columns) -> Receipt:
    """Return the receipt that a journal row was written from."""
    engine = EngineName(row["served_engine"])
    return Receipt(
        journal_id=row["id"],
        type=EntryType(row["type"]),
        occurred_at=row["occurred_at"],
        user_id=row["user_id"],
        operation_key=row["operation_key"],
        requested=row["requested"],
        charged=row["charged"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        served=_engine_result(row, engine, row["reason"]),
        shadow=_engine_result(row, engine.other, row["shadow_reason"]),
        comparison=Comparison(Variance(row["variance"] or Variance.RETIRED), row["cause"]),
        flag_revision=row["flag_revision"],
        evaluation_reason=row["evaluation_reason"],
        actor=row["actor"],
        retry_of=row["retry_of"],
        uncharged=bool((row["context"] or {}).get("uncharged")),
    )


def _context(receipt: Receipt) -> dict[str, object] | None:
    """Return the rare fields: that nothing was charged, and what packs held afterwards."""
    context: dict[str, object] = {"uncharged": True} if receipt.uncharged else {}
    bought = receipt.served.bought
    if bought != NOTHING or receipt.spent_from_packs != NOTHING:
        context["bought"] = [amount for _, amount in bought.items()]
    return context or None


def replayed(receipt: Receipt) -> Receipt:
    """Return the receipt marked as a replay."""
    return replace(receipt, replayed=True)


def _engine_columns(of: EngineResult) -> dict[str, object]:
    engine = of.engine.value
    return {
        f"{engine}_period_start": of.period.start,
        f"{engine}_period_end": of.period.end,
        f"{engine}_posted": of.posted,
        f"{engine}_outcome": of.outcome.value if of.outcome else None,
        f"{engine}_charged": of.charged,
        f"{engine}_used": of.used,
        f"{engine}_limit": of.limits,
        f"{engine}_us": of.duration_us,
    }


def _engine_result(row: Columns, engine: EngineName, reason: str) -> EngineResult:
    outcome = row[f"{engine}_outcome"]
    return EngineResult(
        engine=engine,
        outcome=Outcome(outcome) if outcome else None,
        charged=row[f"{engine}_charged"],
        used=row[f"{engine}_used"],
        limits=row[f"{engine}_limit"],
        period=Period(row[f"{engine}_period_start"], row[f"{engine}_period_end"]),
        posted=row[f"{engine}_posted"],
        duration_us=row[f"{engine}_us"],
        reason=reason,
        bought=Amounts(*(row["context"] or {}).get("bought", ())),
    )
