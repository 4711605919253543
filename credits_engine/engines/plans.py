"""The one plan catalogue: what each plan grants to each engine, and which plan a Stripe price buys.

Both engines, the API, the backfill and the tests read it. A mistake in it stops the start, in words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

Limit = int | None
"""Credits of one kind per period. None is unlimited; 0 is legal and means none at all."""


class Kind(StrEnum):
    """The kinds of credits."""

    ANALYSIS = "analysis"
    ROAST = "roast"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one plan in one period."""

    analysis: Limit
    roast: Limit


@dataclass(frozen=True, slots=True)
class LimitDifference:
    """That one kind is wanted to have these different limits. Nothing else excuses what v2 refuses or allows alone."""

    kind: Kind
    v2: Limit
    legacy: Limit


@dataclass(frozen=True, slots=True)
class CreditPlan:
    """One plan: v2's limits per billing period, legacy's per UTC calendar month."""

    name: str
    title: str
    v2: Limits
    legacy: Limits
    aliases: tuple[str, ...] = ()
    price_keys: tuple[str, ...] = ()
    """Stripe price lookup keys that buy this plan."""
    differences: tuple[LimitDifference, ...] = ()
    """Where the two engines' limits are wanted to differ."""


class UnknownPlanError(LookupError):
    """A plan that the catalogue does not have; never read as the free one."""


class UnknownPriceError(LookupError):
    """A price lookup key that buys nothing we know; never read as the free plan."""


class CatalogueError(ValueError):
    """The catalogue contradicts itself; the message lists every mistake."""


class Catalogue:
    """Plans in ascending order of what they cost, found by name, alias or price."""

    def __init__(self, plans: Iterable[CreditPlan]) -> None:
        """Raise CatalogueError with all mistakes at once."""
        self.plans = tuple(plans)
        mistakes = catalogue_errors(self.plans)
        if mistakes:
            raise CatalogueError(" ".join(mistakes))
        self._named = _index((name, plan) for plan in self.plans for name in (plan.name, *plan.aliases))
        self._priced = _index((key, plan) for plan in self.plans for key in plan.price_keys)
        self._rank = {plan.name: rank for rank, plan in enumerate(self.plans)}

    def __iter__(self) -> Iterator[CreditPlan]:
        return iter(self.plans)

    def plan(self, name: str) -> CreditPlan:
        """The plan of that name or alias; raises UnknownPlanError."""
        try:
            return self._named[name]
        except KeyError:
            known = ", ".join(plan.name for plan in self.plans)
            raise UnknownPlanError(f"Plan {name!r} is not in the catalogue; it has {known}.") from None

    def plan_for_price(self, lookup_key: str) -> CreditPlan:
        """The plan that a Stripe price buys; raises UnknownPriceError."""
        try:
            return self._priced[lookup_key]
        except KeyError:
            raise UnknownPriceError(
                f"Price lookup key {lookup_key!r} maps to no plan; add it to one plan of the catalogue."
            ) from None

    def is_upgrade(self, before: CreditPlan, after: CreditPlan) -> bool:
        """Return whether `after` stands higher in the catalogue than `before`."""
        return self._rank[after.name] > self._rank[before.name]


def catalogue_errors(plans: tuple[CreditPlan, ...]) -> list[str]:
    """Every contradiction as a sentence; empty when both engines can rely on the catalogue."""
    mistakes = [] if plans else ["A catalogue needs at least one plan."]
    names = Counter(name for plan in plans for name in (plan.name, *plan.aliases))
    mistakes += [f"Plan name or alias {name!r} is used {n} times." for name, n in names.items() if n > 1]
    prices = Counter(key for plan in plans for key in plan.price_keys)
    mistakes += [f"Price lookup key {key!r} buys {n} plans; it may buy one." for key, n in prices.items() if n > 1]
    for plan in plans:
        mistakes += _plan_errors(plan)
    return mistakes


def _plan_errors(plan: CreditPlan) -> list[str]:
    blank = [name for name in (plan.name, *plan.aliases, *plan.price_keys) if name != name.strip() or not name]
    mistakes = [f"Plan {plan.name!r}: {name!r} is blank or has blanks around it." for name in blank]
    for engine, limits in (("v2", plan.v2), ("legacy", plan.legacy)):
        for kind, limit in ((Kind.ANALYSIS, limits.analysis), (Kind.ROAST, limits.roast)):
            if limit is not None and (type(limit) is not int or limit < 0):
                mistakes.append(
                    f"Plan {plan.name!r}: {engine} {kind} limit is {limit!r}; write a whole number from 0, or None."
                )
    return mistakes


def _index(entries: Iterable[tuple[str, CreditPlan]]) -> Mapping[str, CreditPlan]:
    return MappingProxyType(dict(entries))


CATALOGUE = Catalogue(
    (
        CreditPlan(
            "free",
            "Free",
            v2=Limits(100, 10),
            legacy=Limits(100, 50),
            aliases=("starter_trial",),
            price_keys=("free",),
            differences=(LimitDifference(Kind.ROAST, v2=10, legacy=50),),
        ),
        CreditPlan(
            "starter",
            "Starter",
            v2=Limits(1_000, 10),
            legacy=Limits(1_000, 100),
            price_keys=("starter_monthly", "starter_yearly"),
            differences=(LimitDifference(Kind.ROAST, v2=10, legacy=100),),
        ),
        CreditPlan(
            "pro",
            "Pro",
            v2=Limits(10_000, 1_000),
            legacy=Limits(10_000, 1_000),
            price_keys=("pro_monthly", "pro_yearly"),
        ),
        CreditPlan(
            "plus",
            "Plus",
            v2=Limits(100_000, 5_000),
            legacy=Limits(100_000, 5_000),
            aliases=("creator_plus",),
            price_keys=("plus_monthly", "plus_yearly", "creator_plus_monthly"),
        ),
        CreditPlan(
            "custom", "Custom", v2=Limits(None, None), legacy=Limits(None, None), price_keys=("custom_monthly",)
        ),
    )
)
