"""The one catalogue: the plans, what each grants of each kind to each engine, and which plan a Stripe price buys.

Both engines, the API, the backfill and the tests read it. A mistake in it stops the start, in words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from credits_engine.engines.amounts import KINDS, Kind, Limit, Limits
from credits_engine.engines.catalogue_errors import catalogue_errors, kind_errors
from credits_engine.engines.rollovers import NO_ROLLOVERS, Rollovers, with_seats

SEATS_MAX = 100_000
SEATS = re.compile(r"(?P<plan>.+):(?P<seats>[1-9][0-9]{0,5})")
GRACE = timedelta(days=5)
"""How long a plan is granted after its payment failed, where no version of the plan says otherwise."""


@dataclass(frozen=True, slots=True)
class LimitDifference:
    """That the engines are wanted to have these different limits. Nothing else excuses what v2 answers otherwise."""

    v2: Limit
    legacy: Limit


@dataclass(frozen=True, slots=True)
class CreditKind:
    """One kind of credits: the limits of each plan by its name, and the sizes of the packs on sale."""

    name: str
    v2: Mapping[str, Limit]
    """Per billing period."""
    legacy: Mapping[str, Limit]
    """Per UTC calendar month."""
    packs: tuple[int, ...] = ()
    differences: Mapping[str, LimitDifference] = field(default_factory=dict)
    """By the name of the plan: where the engines' limits are wanted to differ."""


@dataclass(frozen=True, slots=True)
class CreditPlan:
    """One plan: v2's limits per billing period, legacy's per UTC calendar month."""

    name: str
    title: str
    v2: Limits = field(default_factory=Limits)
    legacy: Limits = field(default_factory=Limits)
    aliases: tuple[str, ...] = ()
    price_keys: tuple[str, ...] = ()
    """Stripe price lookup keys that buy this plan."""
    graces: tuple[tuple[datetime, timedelta], ...] = ()
    """The days of grace by the moment from which on they are given, in that order."""
    rollovers: tuple[tuple[datetime, Rollovers], ...] = ()
    """The rules of what rolls over, by the moment from which on periods begin that have them, in that order."""
    versions: tuple[tuple[Limits, Limits], ...] = ()
    """What each version that was added as data and has begun grants to v2 and to legacy."""
    per_seat: bool = False
    """Whether its limits are those of one seat, and a subscription's quantity says how many seats there are."""
    seats: int = 1

    def grace_at(self, moment: datetime) -> timedelta:
        """Return the grace for a payment that failed at `moment`; what comes later changes nothing of it."""
        begun = [grace for start, grace in self.graces if start <= moment]
        return begun[-1] if begun else GRACE

    def rollovers_of(self, period_start: datetime) -> Rollovers:
        """Return by which rules a period rolls over that began then: a period keeps what it was opened with."""
        begun = [rules for start, rules in self.rollovers if start <= period_start]
        return begun[-1] if begun else NO_ROLLOVERS

    def with_seats(self, seats: int) -> "CreditPlan":
        """Return the plan of so many seats: one of its own, `team:5`, which grants that many times the limits.

        So both engines, the functions of the database and whatever asks for upgrades need to know nothing of seats.
        """
        seats = min(seats, SEATS_MAX)
        if not self.per_seat or seats <= 1:
            return self
        v2, legacy = _times(seats, self.v2), _times(seats, self.legacy)
        return replace(
            self,
            name=f"{self.name}:{seats}",
            title=f"{self.title}, {seats:,} seats",
            v2=v2,
            legacy=legacy,
            versions=tuple((_times(seats, v2), _times(seats, legacy)) for v2, legacy in self.versions),
            rollovers=tuple((start, with_seats(rules, seats)) for start, rules in self.rollovers),
            aliases=(),
            price_keys=(),
            seats=seats,
        )

    @property
    def base_name(self) -> str:
        """The name of the plan without its seats."""
        return self.name.removesuffix(f":{self.seats}")


def _times(seats: int, limits: Limits) -> Limits:
    return Limits(*(each and each * seats for each in limits.figures))


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

    def grant(self, kind: CreditKind, *, added: Set[str] = frozenset()) -> None:
        """Let every plan grant a further kind, also those that were `added` by data and may not be in force here yet.

        Raises CatalogueError, and changes nothing then.
        """
        names = {plan.name for plan in self.built_in}
        if mistakes := kind_errors(kind, names | added & kind.v2.keys(), {known.name for known in self.kinds}):
            raise CatalogueError(" ".join(mistakes))
        self._index(granting(self.plans, kind))
        self.built_in = granting(self.built_in, kind)
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
        """Return whether `plan` is wanted to have just this difference in its limits of `kind`."""
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


def granting(plans: Iterable[CreditPlan], kind: CreditKind) -> tuple[CreditPlan, ...]:
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
    CATALOGUE.grant(kind, added=added)
    KINDS.append(Kind(kind.name))
    return KINDS[-1]


ANALYSIS = register_kind(
    CreditKind(
        "analysis",
        v2={"free": 100, "starter": 1_000, "pro": 10_000, "plus": 100_000, "custom": None},
        legacy={"free": 100, "starter": 1_000, "pro": 10_000, "plus": 100_000, "custom": None},
        packs=(100, 1_000),
    )
)
ROAST = register_kind(
    CreditKind(
        "roast",
        v2={"free": 10, "starter": 10, "pro": 1_000, "plus": 5_000, "custom": None},
        legacy={"free": 50, "starter": 100, "pro": 1_000, "plus": 5_000, "custom": None},
        packs=(10, 100),
        differences={"free": LimitDifference(v2=10, legacy=50), "starter": LimitDifference(v2=10, legacy=100)},
    )
)
