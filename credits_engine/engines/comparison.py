"""Two answers to one operation: how they differ, and why.

The served engine is the control and its answer always stands. The shadow is the candidate, whose answer is compared
and never applied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Any

from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import NOTHING, Amounts, Limit
from credits_engine.engines.decisions import (
    Book,
    Decision,
    Engine,
    EngineName,
    Outcome,
    Request,
    remaining,
)
from credits_engine.engines.observation import RETIRED, Observation

REFERENCE: dict[EngineName, Engine] = {EngineName.LEGACY: legacy.decide, EngineName.V2: v2.decide}


class Variance(StrEnum):
    """The class of a difference. `defect` speaks against v2, and so does a `policy` of limits that are not declared.

    `retired` says that legacy is not asked any more; the journal leaves the class empty then.
    """

    MATCH = "match"
    POLICY = "policy"
    DEFECT = "defect"
    SHADOW_ERROR = "shadow_error"
    SHADOW_SKIPPED = "shadow_shed"
    SERVED_ERROR = "served_error"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variance class with its cause: `policy:…`, the contradictions of a defect, or the error; empty for a match."""

    variance: Variance
    cause: str = ""

    @property
    def blames_only_legacy(self) -> bool:
        """Return whether a defect is legacy's own: it contradicts its figures and v2 does not."""
        if self.variance is not Variance.DEFECT:
            return False
        faults = self.cause.split()
        return bool(faults) and all(each.startswith(f"{EngineName.LEGACY}:") for each in faults)


def compare(
    served: Observation, shadow: Observation, *, served_book: Book, shadow_book: Book, request: Request
) -> Comparison:
    """Classify the pair. Match means same outcome, same charge, and neither answer contradicts its own figures."""
    if served.decision is None:
        return Comparison(Variance.SERVED_ERROR, served.error or "")
    if shadow.skipped:
        return Comparison(Variance.RETIRED if shadow.error == RETIRED else Variance.SHADOW_SKIPPED)
    if shadow.decision is None:
        return Comparison(Variance.SHADOW_ERROR, shadow.error or "")
    faults = _defects(served, served_book, request) + _defects(shadow, shadow_book, request)
    if faults:
        return Comparison(Variance.DEFECT, " ".join(faults))
    if served.decision.outcome is shadow.decision.outcome:
        return Comparison(Variance.MATCH)
    cause = _policy_difference(served.decision.outcome, served_book, shadow.engine, shadow_book, request)
    return Comparison(Variance.POLICY, cause) if cause else Comparison(Variance.DEFECT, "unknown")


def contradictions(decision: Decision, book: Book, amounts: Amounts) -> list[str]:
    """List where a decision contradicts the loaded book or its own figures, each as one word.

    Coherent decisions charge exactly what was asked for or nothing, so two coherent `allowed` charge the same.
    """
    figures = decision.limits.in_order, decision.used.in_order, book.bought.in_order, amounts.in_order
    fits = all(map(_fits, *figures))
    match decision.outcome:
        case Outcome.ALLOWED:
            coherent, charge, state = fits, amounts, book.blocked is None
        case Outcome.DENIED_LIMIT:
            coherent, charge, state = not fits, NOTHING, True
        case Outcome.DENIED_STATE:
            coherent, charge, state = True, NOTHING, book.blocked is not None
        case Outcome.ERROR:
            coherent, charge, state = False, NOTHING, True
    checks = {
        "used": decision.used == book.used,
        "limit": decision.limits == book.limits,
        "period": decision.period == book.period,
        "arithmetic": coherent,
        "state": state,
        "charge": decision.charged == charge,
        "remaining": decision.remaining
        == remaining(decision.limits, decision.used, bought=book.bought, charged=decision.charged),
    }
    return [name for name, right in checks.items() if not right]


def _defects(observation: Observation, book: Book, request: Request) -> list[str]:
    assert observation.decision is not None
    found = contradictions(observation.decision, book, request.amounts)
    return [f"{observation.engine}:{fault}" for fault in found]


def _policy_difference(
    expected: Outcome, served_book: Book, engine: EngineName, shadow_book: Book, request: Request
) -> str:
    """Return the fewest declared policy differences that explain the shadow's verdict.

    Once they are neutralised, it is the served one's.

    Each is neutralised by judging again with the served book's own limits, window (period and usage) or state.
    `|` separates differences of which each suffices, `+` those that are needed together. Empty when none explains.
    """
    neutral: Mapping[str, Mapping[str, Any]] = {
        "limit_table": {"limits": served_book.limits},
        "window": {"period": served_book.period, "used": served_book.used},
        "state": {"blocked": served_book.blocked},
    }
    differing = [n for n, fields in neutral.items() if any(getattr(shadow_book, f) != v for f, v in fields.items())]
    for size in range(1, len(differing) + 1):
        sufficient = []
        for names in combinations(differing, size):
            fields = {field: value for name in names for field, value in neutral[name].items()}
            decision = REFERENCE[engine](replace(shadow_book, **fields), request)
            if decision.outcome is expected:
                sufficient.append("+".join(names))
        if sufficient:
            return f"policy:{'|'.join(sufficient)}"
    return ""


def _fits(limit: Limit, used: int, bought: int, amount: int) -> bool:
    return amount == 0 or limit is None or used + amount <= limit or max(limit - used, 0) + bought >= amount
