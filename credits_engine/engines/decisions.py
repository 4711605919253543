"""The interface of both engines: a request and a book in, a decision with its reason out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Kind, Limit, Limits


class EngineName(StrEnum):
    """The engines."""

    LEGACY = "legacy"
    V2 = "v2"

    @property
    def other(self) -> "EngineName":
        return EngineName.V2 if self is EngineName.LEGACY else EngineName.LEGACY


class Outcome(StrEnum):
    """Four answers that are never mixed up: a refusal is not a failure, and a failure is not a refusal."""

    ALLOWED = "allowed"
    DENIED_LIMIT = "denied_limit"
    DENIED_STATE = "denied_state"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Credits of each kind: asked for, charged or used. Negative only where credits are given back."""

    analysis: int = 0
    roast: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.analysis + other.analysis, self.roast + other.roast)

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.analysis - other.analysis, self.roast - other.roast)

    def __str__(self) -> str:
        named = ((self.analysis, Kind.ANALYSIS), (self.roast, Kind.ROAST))
        return " and ".join(f"{amount} {kind}" for amount, kind in named if amount) or "0"


NOTHING = Amounts()


@dataclass(frozen=True, slots=True)
class Request:
    """One operation to decide: kinds asked for together are granted together or not at all."""

    user_id: str
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Book:
    """One engine's counters for one user and period, as loaded and locked."""

    period: Period
    used: Amounts
    limits: Limits
    blocked: str | None = None
    """Why this user may not consume at all (frozen, no subscription right); None when nothing stands against it."""
    bought: Amounts = NOTHING
    """What packs hold that were bought besides the plan: spent when the limit is reached, the same in both books."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An engine's answer with everything that it was based on; `used` is before the charge, `remaining` after it."""

    outcome: Outcome
    charged: Amounts
    reason: str
    used: Amounts
    limits: Limits
    remaining: Limits
    period: Period


Engine = Callable[[Book, Request], Decision]
"""A pure function. It may raise: whoever calls it turns that into `error`, never into a refusal."""


def remaining(limits: Limits, used: Amounts, *, bought: Amounts = NOTHING, charged: Amounts = NOTHING) -> Limits:
    """Return the credits left of each kind after `charged`, plan and packs together, never below 0; None stays
    unlimited.
    """
    return Limits(
        _left(limits.analysis, used.analysis, bought.analysis - charged.analysis),
        _left(limits.roast, used.roast, bought.roast - charged.roast),
    )


def _left(limit: Limit, used: int, besides: int) -> Limit:
    return None if limit is None else max(max(limit - used, 0) + besides, 0)
