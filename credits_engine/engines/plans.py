"""The one catalogue: the plans, what each grants of each kind to each engine, and which plan a Stripe price buys.

Both engines, the API, the backfill and the tests read it. A mistake in it stops the start, in words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from types import MappingProxyType

from credits_engine.engines.amounts import KINDS, Kind, Limits
from credits_engine.engines.catalogue_errors import catalogue_errors, kind_errors
from credits_engine.engines.credit_plan import CreditKind, CreditPlan, LimitDifference

SEATS = re.compile(r"(?P<plan>.+):(?P<seats>[1-9][0-9]{0,5})")


class UnknownPlanError(LookupError):
    """A plan that the catalogue does not have; never read as the free one."""


class UnknownPriceError(LookupError):
    """A price lookup key that buys nothing we know; never read as the free plan."""


class CatalogueError(ValueError):
    """The catalogue contradicts itself; the message lists every mistake."""


class Catalogue:
    """Plans in ascending order of what they cost, found by name, alias or price."""

    def __init__(
        self,
        plans: Iterable[CreditPlan],
        kinds: tuple[CreditKind, ...] = (),
        further_prices: Mapping[str, CreditPlan] = MappingProxyType({}),
    ) -> None:
        """Raise CatalogueError with all mistakes at once."""
        self.kinds = kinds
        self._further_prices = further_prices
        self._index(tuple(plans))
        self.built_in = self.plans

    def _index(self, plans: tuple[CreditPlan, ...]) -> None:
        if mistakes := catalogue_errors(plans):
            raise CatalogueError(" ".join(mistakes))
        # The ranks first: whoever finds a plan by its name in another thread asks for its rank next.
        self._rank = {plan.name: rank for rank, plan in enumerate(plans)}
        self._named = _index((name, plan) for plan in plans for name in (plan.name, *plan.aliases))
        priced = [(key, plan) for plan in plans for key in plan.price_keys]
        self._priced = _index([*priced, *self._further_prices.items()])
        self._of_seats: dict[str, CreditPlan] = {}
        self.plans = plans

    def replace_plans(self, plans: tuple[CreditPlan, ...]) -> None:
        """Let these be the plans from now on, the built-in ones with what was changed since. Raises CatalogueError."""
        self._index(plans)

    def __iter__(self) -> Iterator[CreditPlan]:
        return iter(self.plans)

    def add_kind(self, kind: CreditKind, *, added: Set[str] = frozenset()) -> None:
        """Let every plan grant a further kind, also those that were `added` by data and may not be in force here yet.

        Raises CatalogueError, and changes nothing then.
        """
        names = {plan.name for plan in self.built_in}
        if mistakes := kind_errors(kind, names | added & kind.v2.keys(), {known.name for known in self.kinds}):
            raise CatalogueError(" ".join(mistakes))
        self._index(with_kind(self.plans, kind))
        self.built_in = with_kind(self.built_in, kind)
        self.kinds = (*self.kinds, kind)

    def plan(self, name: str) -> CreditPlan:
        """Return the plan of that name or alias; raises UnknownPlanError."""
        try:
            return self._named[name]
        except KeyError:
            if found := self._of_seats.get(name) or self._with_seats(name):
                return found
            known = ", ".join(plan.name for plan in self.plans)
            raise UnknownPlanError(f"Plan {name!r} is not in the catalogue; it has {known}.") from None

    def _with_seats(self, name: str) -> CreditPlan | None:
        written = SEATS.fullmatch(name)
        plan = self._named.get(written["plan"]) if written else None
        if written is None or plan is None or (found := plan.with_seats(int(written["seats"]))).name != name:
            return None
        self._of_seats[name] = found
        return found

    def plan_for_price(self, lookup_key: str) -> CreditPlan:
        """Return the plan that a Stripe price buys; raises UnknownPriceError."""
        try:
            return self._priced[lookup_key]
        except KeyError:
            raise UnknownPriceError(
                f"Price lookup key {lookup_key!r} maps to no plan; add it to one plan of the catalogue."
            ) from None

    def has_price(self, lookup_key: str) -> bool:
        """Return whether a Stripe price buys one of the plans."""
        return lookup_key in self._priced

    def with_prices(self, prices: Mapping[str, str]) -> "Catalogue":
        """Return the same plans, which further prices buy too, by the name of the plan. Raises UnknownPlanError."""
        return Catalogue(self.plans, self.kinds, {key: self.plan(name) for key, name in prices.items()})

    def declares(self, plan: CreditPlan, kind: Kind, difference: LimitDifference) -> bool:
        """Return whether `plan` has just this difference on purpose in its limits of `kind`."""
        return any(each.name == kind and each.differences.get(plan.name) == difference for each in self.kinds)

    @property
    def rolling_plans(self) -> list[str]:
        """The plans of which something rolls over, or did."""
        return [plan.name for plan in self.plans if plan.rollovers]

    def is_upgrade(self, before: CreditPlan, after: CreditPlan) -> bool:
        """Return whether `after` stands higher in the catalogue than `before`."""
        return self.place(after) > self.place(before)

    def place(self, plan: CreditPlan) -> tuple[int, int]:
        """Return the place of a plan in the catalogue; more seats stand higher."""
        return self._rank[plan.base_name], plan.seats


def with_kind(plans: Iterable[CreditPlan], kind: CreditKind) -> tuple[CreditPlan, ...]:
    """Return the plans with what each grants of a further kind."""
    return tuple(
        replace(
            plan,
            v2=Limits(*plan.v2.figures, kind.v2.get(plan.name, 0)),
            legacy=Limits(*plan.legacy.figures, kind.legacy.get(plan.name, 0)),
        )
        for plan in plans
    )


def _index(entries: Iterable[tuple[str, CreditPlan]]) -> Mapping[str, CreditPlan]:
    return MappingProxyType(dict(entries))


CATALOGUE = Catalogue(
    (
        CreditPlan("free", "Free", aliases=("starter_trial",), price_keys=("free",)),
        CreditPlan("starter", "Starter", price_keys=("starter_monthly", "starter_yearly")),
        CreditPlan("pro", "Pro", price_keys=("pro_monthly", "pro_yearly")),
        CreditPlan(
            "plus",
            "Plus",
            aliases=("creator_plus",),
            price_keys=("plus_monthly", "plus_yearly", "creator_plus_monthly"),
        ),
        CreditPlan("custom", "Custom", price_keys=("custom_monthly",)),
    )
)


def register_kind(kind: CreditKind, *, added: Set[str] = frozenset()) -> Kind:
    """Add a kind of credits at the end of the canonical order; `added` are plans by data. Raises CatalogueError.

    PostgreSQL's functions decide by rows of `credit_kind` and `credit_limit`: a migration adds those of a kind that
    comes with a release, the leader those of a kind that is data.
    """
    CATALOGUE.add_kind(kind, added=added)
    KINDS.append(Kind(kind.name))
    return KINDS[-1]


register_kind(
    CreditKind(
        "analysis",
        v2={"free": 100, "starter": 1_000, "pro": 10_000, "plus": 100_000, "custom": None},
        legacy={"free": 100, "starter": 1_000, "pro": 10_000, "plus": 100_000, "custom": None},
        packs=(100, 1_000),
    )
)
register_kind(
    CreditKind(
        "roast",
        v2={"free": 10, "starter": 10, "pro": 1_000, "plus": 5_000, "custom": None},
        legacy={"free": 50, "starter": 100, "pro": 1_000, "plus": 5_000, "custom": None},
        packs=(10, 100),
        differences={"free": LimitDifference(v2=10, legacy=50), "starter": LimitDifference(v2=10, legacy=100)},
    )
)
