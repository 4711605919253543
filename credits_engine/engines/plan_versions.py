"""Versions of plans: what a plan grants from a moment on, laid over the plans that are built in. Pure.

A period of v2 that runs keeps the limits it was opened with, and so does legacy's month: the new ones are in force for
what begins at the start or later. A plan that is new has its limits at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from credits_engine.engines.amounts import Limit, Limits
from credits_engine.engines.credit_plan import CreditKind, CreditPlan
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.rollovers import Rollovers, rule_errors

LIMIT_MAX = 10**12
GRACE_DAYS_MAX = 90

Granted = Mapping[str, CreditKind]


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """What a plan grants from `starts_at` on, by kind: v2's limit and legacy's. `above` places a plan that is new."""

    plan: str
    title: str
    starts_at: datetime
    limits: Mapping[str, tuple[Limit, Limit]]
    above: str | None = None
    grace_days: int | None = None
    """For payments that fail from then on; None leaves what it was."""
    per_seat: bool = False
    """Of a plan that is new: whether these are the limits of one seat."""
    rollovers: Rollovers | None = None
    """Of periods that begin from then on; None leaves what it was, and no rule at all ends it."""

    @property
    def legacy_starts_at(self) -> datetime:
        """Return the start of the first calendar month that begins at the start or later."""
        month = calendar_month(self.starts_at)
        return self.starts_at if month.start == self.starts_at else month.end

    def v2(self, kinds: Sequence[str], granted: Granted = MappingProxyType({})) -> Limits:
        """Return v2's limits in the order of the kinds; one that is younger than the version says itself what it is."""
        return Limits(*(self._limits_of(kind, granted)[0] for kind in kinds))

    def legacy(self, kinds: Sequence[str], granted: Granted = MappingProxyType({})) -> Limits:
        """Return legacy's limits in the order of the kinds."""
        return Limits(*(self._limits_of(kind, granted)[1] for kind in kinds))

    def _limits_of(self, kind: str, granted: Granted) -> tuple[Limit, Limit]:
        by_kind = granted.get(kind)
        base = (by_kind.v2.get(self.plan, 0), by_kind.legacy.get(self.plan, 0)) if by_kind else (0, 0)
        return self.limits.get(kind, base)


def plans_at(
    built_in: Sequence[CreditPlan],
    versions: Iterable[PlanVersion],
    kinds: Sequence[str],
    now: datetime,
    granted: Granted = MappingProxyType({}),
) -> tuple[CreditPlan, ...]:
    """Return the plans in force at `now`, in ascending order of what they cost; `granted` are the kinds by name."""
    plans = list(built_in)
    for version in sorted(versions, key=lambda each: each.starts_at):
        if version.starts_at > now:
            continue
        places = {plan.name: place for place, plan in enumerate(plans)}
        place = places.get(version.plan)
        if place is None:
            # Above one that has left the catalogue it stands above all that are left.
            above = places.get(version.above or "", len(plans) - 1)
            plans.insert(above + 1, _new_plan(version, kinds, granted))
            continue
        # A month that runs keeps its pools, as a billing period does.
        legacy = version.legacy(kinds, granted) if version.legacy_starts_at <= now else plans[place].legacy
        plans[place] = replace(
            plans[place],
            title=version.title,
            v2=version.v2(kinds, granted),
            legacy=legacy,
            graces=_graces(version, plans[place].graces),
            rollovers=_rollovers(version, plans[place].rollovers),
            versions=(*plans[place].versions, (version.v2(kinds, granted), version.legacy(kinds, granted))),
        )
    return tuple(plans)


def _new_plan(version: PlanVersion, kinds: Sequence[str], granted: Granted) -> CreditPlan:
    limits = version.v2(kinds, granted), version.legacy(kinds, granted)
    return CreditPlan(
        version.plan,
        version.title,
        *limits,
        graces=_graces(version, ()),
        rollovers=_rollovers(version, ()),
        versions=(limits,),
        per_seat=version.per_seat,
    )


def _graces(
    version: PlanVersion, before: tuple[tuple[datetime, timedelta], ...]
) -> tuple[tuple[datetime, timedelta], ...]:
    if version.grace_days is None:
        return before
    return (*before, (version.starts_at, timedelta(days=version.grace_days)))


def _rollovers(
    version: PlanVersion, before: tuple[tuple[datetime, Rollovers], ...]
) -> tuple[tuple[datetime, Rollovers], ...]:
    return before if version.rollovers is None else (*before, (version.starts_at, version.rollovers))


def version_errors(
    wanted: Sequence[PlanVersion],
    known: Sequence[PlanVersion],
    built_in: Sequence[CreditPlan],
    kinds: Sequence[str],
    coming: Sequence[str] = (),
) -> list[str]:
    """Return why these versions can't be added, a sentence each; kinds to come may be named, and need not."""
    found: list[str] = []
    names = {name for plan in built_in for name in (plan.name, *plan.aliases)}
    main = {plan.name for plan in built_in} | {each.plan for each in known}
    earlier: set[tuple[str, datetime]] = set()
    for each in sorted(wanted, key=lambda version: version.starts_at):
        sentences = _errors(each, main, names, kinds, coming)
        sentences += ["it stands there twice with one start."] if (each.plan, each.starts_at) in earlier else []
        found += [f"Plan {each.plan!r}: {sentence}" for sentence in sentences]
        earlier.add((each.plan, each.starts_at))
        main.add(each.plan)
    return found


def _errors(
    each: PlanVersion, main: set[str], names: set[str], kinds: Sequence[str], coming: Sequence[str]
) -> list[str]:
    found = _place_errors(each, main, names)
    if odd := sorted((each.limits.keys() - set(coming)) ^ (set(kinds) - set(coming))):
        found.append(f"it needs limits for each kind and no other; see {', '.join(odd)}.")
    for kind, limits in each.limits.items():
        if any(limit is not None and not 0 <= limit <= LIMIT_MAX for limit in limits):
            found.append(f"a limit of {kind} is a whole number from 0 to {LIMIT_MAX:,}, or null for none.")
    if each.grace_days is not None and not 0 <= each.grace_days <= GRACE_DAYS_MAX:
        found.append(f"the days of grace are 0 to {GRACE_DAYS_MAX}.")
    found += rule_errors(each.rollovers or {}, {*kinds, *coming}, LIMIT_MAX)
    return found


def _place_errors(each: PlanVersion, main: set[str], names: set[str]) -> list[str]:
    found = [] if each.plan and each.plan == each.plan.strip() else ["its name is blank or has blanks around it."]
    if each.above is not None and each.above not in main:
        found.append(f"there is no plan {each.above!r} above which it could stand.")
    if each.plan in main:
        is_changed = "only a plan that is new can be one of seats; what its users have would change."
        return [*found, is_changed] if each.per_seat else found
    if each.plan in names:
        found.append("this is another name of a plan; change that one.")
    if each.above is None:
        found.append("it is new; say above which plan it stands.")
    if ":" in each.plan:
        found.append("its name holds no colon, which is for a number of seats.")
    return found
