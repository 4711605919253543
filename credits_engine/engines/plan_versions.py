"""Versions of plans: what a plan grants from a moment on, laid over the plans that are built in. Pure.

A period of v2 that runs keeps the limits it was opened with, and so does legacy's month: the new ones are in force for
what begins at the start or later. A plan that is new has its limits at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from credits_engine.engines.amounts import Limit, Limits
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import CreditPlan

LIMIT_MAX = 10**12


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """What a plan grants from `starts_at` on, by kind: v2's limit and legacy's. `above` places a plan that is new."""

    plan: str
    title: str
    starts_at: datetime
    limits: Mapping[str, tuple[Limit, Limit]]
    above: str | None = None

    @property
    def legacy_starts_at(self) -> datetime:
        """Return the start of the first calendar month that begins at the start or later."""
        month = calendar_month(self.starts_at)
        return self.starts_at if month.start == self.starts_at else month.end

    def v2(self, kinds: Sequence[str]) -> Limits:
        """Return v2's limits in the order of the kinds; a kind that the version does not know is not granted."""
        return Limits(*(self.limits.get(kind, (0, 0))[0] for kind in kinds))

    def legacy(self, kinds: Sequence[str]) -> Limits:
        """Return legacy's limits in the order of the kinds."""
        return Limits(*(self.limits.get(kind, (0, 0))[1] for kind in kinds))


def plans_at(
    built_in: Sequence[CreditPlan], versions: Iterable[PlanVersion], kinds: Sequence[str], now: datetime
) -> tuple[CreditPlan, ...]:
    """Return the plans in force at `now`, in ascending order of what they cost."""
    plans = list(built_in)
    for version in sorted(versions, key=lambda each: each.starts_at):
        if version.starts_at > now:
            continue
        places = {plan.name: place for place, plan in enumerate(plans)}
        place = places.get(version.plan)
        if place is None:
            new = CreditPlan(version.plan, version.title, version.v2(kinds), version.legacy(kinds))
            plans.insert(places[version.above] + 1 if version.above else len(plans), new)
            continue
        # A month that runs keeps its pools, as a billing period does.
        legacy = version.legacy(kinds) if version.legacy_starts_at <= now else plans[place].legacy
        plans[place] = replace(plans[place], title=version.title, v2=version.v2(kinds), legacy=legacy)
    return tuple(plans)


def next_change(versions: Iterable[PlanVersion], now: datetime) -> datetime | None:
    """Return when the plans in force change next by what is known; None where nothing is to come."""
    moments = {moment for each in versions for moment in (each.starts_at, each.legacy_starts_at)}
    return min((moment for moment in moments if moment > now), default=None)


def version_errors(
    wanted: Sequence[PlanVersion], known: Sequence[PlanVersion], built_in: Sequence[CreditPlan], kinds: Sequence[str]
) -> list[str]:
    """Return why these versions can't be added, a sentence each."""
    found: list[str] = []
    names = {name for plan in built_in for name in (plan.name, *plan.aliases)}
    main = {plan.name for plan in built_in} | {each.plan for each in known}
    seen: set[tuple[str, datetime]] = set()
    for each in sorted(wanted, key=lambda version: version.starts_at):
        sentences = _errors(each, main, names, kinds)
        sentences += ["it stands there twice with one start."] if (each.plan, each.starts_at) in seen else []
        found += [f"Plan {each.plan!r}: {sentence}" for sentence in sentences]
        seen.add((each.plan, each.starts_at))
        main.add(each.plan)
    return found


def _errors(each: PlanVersion, main: set[str], names: set[str], kinds: Sequence[str]) -> list[str]:
    found = [] if each.plan and each.plan == each.plan.strip() else ["its name is blank or has blanks around it."]
    if each.plan not in main and each.plan in names:
        found.append("this is another name of a plan; change that one.")
    if each.plan not in main and each.above is None:
        found.append("it is new; say above which plan it stands.")
    if each.above is not None and each.above not in main:
        found.append(f"there is no plan {each.above!r} above which it could stand.")
    if odd := sorted(each.limits.keys() ^ set(kinds)):
        found.append(f"it needs limits for each kind and no other; see {', '.join(odd)}.")
    for kind, limits in each.limits.items():
        if any(limit is not None and not 0 <= limit <= LIMIT_MAX for limit in limits):
            found.append(f"a limit of {kind} is a whole number from 0, or null for none.")
    return found
