"""The differences between the engines' limits that the catalogue declares: for which plan, which kind, and how large.

Only these excuse that v2 answers otherwise than legacy. A limit that is wrong, in the catalogue or in a book, is none.
"""

from collections.abc import Iterable, Iterator

from credits_engine.engines.amounts import Amounts, Kind, Limits
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.credit_plan import CreditPlan, LimitDifference
from credits_engine.engines.plans import CATALOGUE, Catalogue

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
    return all(v2[kind] == plan.legacy[kind] or _is_granted(plan, kind, v2) for kind in kinds)


def _is_granted(plan: CreditPlan, kind: Kind, v2: Limits) -> bool:
    """Return whether either limit of a kind is one that the plan declares, be it of two of its versions.

    v2's periods and legacy's months follow a version at different times. One that is data declares what it says.
    """
    declared = [*plan.versions, *_built_in(plan, kind)]
    of_v2, of_legacy = ({pair[side][kind] for pair in declared} for side in (0, 1))
    return v2[kind] in of_v2 and plan.legacy[kind] in of_legacy


def _built_in(plan: CreditPlan, kind: Kind) -> Iterator[tuple[Limits, Limits]]:
    for each in CATALOGUE.built_in:
        difference = LimitDifference(each.v2[kind], each.legacy[kind])
        is_declared = difference.v2 == difference.legacy or CATALOGUE.declares(each, kind, difference)
        if each.name == plan.name and is_declared:
            yield each.v2, each.legacy


def _is_downgrade(v2: Limits, legacy: Limits) -> bool:
    """Return whether v2 still grants what a higher plan grants: a downgrade waits there for the next period."""
    higher = [
        plan for plan in (*CATALOGUE, *CATALOGUE.built_in) if v2 in (plan.v2, *(each for each, _ in plan.versions))
    ]
    return any(CATALOGUE.is_upgrade(each, plan) for plan in higher for each in plans_by(legacy))
