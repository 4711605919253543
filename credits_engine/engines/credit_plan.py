"""A credit plan and a kind of credits as values: what each plan grants of each kind to each engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from credits_engine.engines.amounts import Limit, Limits
from credits_engine.engines.rollovers import NO_ROLLOVERS, Rollovers, with_seats

SEATS_MAX = 100_000
GRACE = timedelta(days=5)
"""How long a plan is granted after its payment failed, where no version of the plan says otherwise."""


@dataclass(frozen=True, slots=True)
class LimitDifference:
    """Two limits that differ on purpose. Nothing else excuses what v2 answers otherwise."""

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
    """By the name of the plan: where the engines' limits differ on purpose."""


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
