"""The differences between the engines' limits that the catalogue declares: for which plan, which kind, and how large.

Only these excuse that v2 answers otherwise than legacy. A limit that is wrong, in the catalogue or in a book, is none.
"""

from collections.abc import Iterable

from credits_engine.engines.amounts import Amounts, Kind, Limits
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.plans import CATALOGUE, Catalogue, CreditPlan, LimitDifference

LIMITS = "limit_table"


def is_excused(comparison: Comparison, requested: Amounts, *, v2: Limits, legacy: Limits) -> bool:
    """Return whether declared differences explain a `policy` of two answers with these limits.

    A billing period against a calendar month, and the state of a subscription, are declared for every plan.
    """
    if comparison.variance is not Variance.POLICY:
        return False
    explanations = comparison.cause.removeprefix(f"{Variance.POLICY}:").split("|")
    if any(LIMITS not in each.split("+") for each in explanations):
        return True
    kinds = [kind for kind, amount in requested.items() if amount]
    return any(_is_declared(plan, kinds, v2) for plan in plans_by(legacy)) or _is_downgrade(v2, legacy)


def plans_by(legacy: Limits, catalogue: Catalogue = CATALOGUE) -> list[CreditPlan]:
    """Return the plans that grant so much to legacy, which knows a plan by nothing else."""
    return [plan for plan in catalogue if plan.legacy == legacy]


def _is_declared(plan: CreditPlan, kinds: Iterable[Kind], v2: Limits) -> bool:
    found = {kind: LimitDifference(v2[kind], plan.legacy[kind]) for kind in kinds}
    return all(each.v2 == each.legacy or CATALOGUE.declares(plan, kind, each) for kind, each in found.items())


def _is_downgrade(v2: Limits, legacy: Limits) -> bool:
    """Return whether v2 still grants what a higher plan grants: a downgrade waits there for the next period."""
    return any(plan.v2 == v2 and CATALOGUE.is_upgrade(each, plan) for plan in CATALOGUE for each in plans_by(legacy))
