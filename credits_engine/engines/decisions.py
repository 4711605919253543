"""The interface of both engines: a request and a book in, a decision with its reason out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from operator import sub

from credits_engine.engines.amounts import NOTHING, Amounts, Limit, Limits
from credits_engine.engines.periods import Period


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
    """Return the credits left of each kind after `charged`, plan and packs together, never below 0.

    None stays unlimited.
    """
    from_packs = map(sub, bought.in_order, charged.in_order)
    return Limits(*map(_left, limits.in_order, used.in_order, from_packs))


def _left(limit: Limit, used: int, from_packs: int) -> Limit:
    return None if limit is None else max(max(limit - used, 0) + from_packs, 0)
