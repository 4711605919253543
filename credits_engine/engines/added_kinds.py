"""Kinds of credits that were added as data: what each plan grants of one, and from when on there is it. Pure.

A kind is added once and never taken out: every stored amount has its place. What plans grant of it later is a matter
of their versions.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from credits_engine.engines.amounts import Limit
from credits_engine.engines.catalogue_errors import kind_errors
from credits_engine.engines.credit_plan import CreditKind, CreditPlan
from credits_engine.engines.plan_versions import LIMIT_MAX
from credits_engine.engines.plans import with_kind

PACK_MAX = 10**9


@dataclass(frozen=True, slots=True)
class AddedKind:
    """A kind, its start, by plan v2's limit and legacy's, and the sizes of its packs on sale."""

    name: str
    starts_at: datetime
    limits: Mapping[str, tuple[Limit, Limit]]
    packs: tuple[int, ...] = ()

    @property
    def kind(self) -> CreditKind:
        """The kind as an entry of the catalogue."""
        v2, legacy = ({plan: each[place] for plan, each in self.limits.items()} for place in (0, 1))
        return CreditKind(self.name, v2, legacy, self.packs)


def added_kind_errors(
    wanted: Sequence[AddedKind], known: Sequence[AddedKind], plans: Set[str], kinds: Iterable[str]
) -> list[str]:
    """Return why these kinds can't be added, a sentence each; `plans` are all that there are or will be."""
    taken = {*kinds, *(each.name for each in known)}
    found: list[str] = []
    for each in wanted:
        found += kind_errors(each.kind, plans, taken)
        taken.add(each.name)
        figures = [figure for limits in each.limits.values() for figure in limits if figure is not None]
        if any(not 0 <= figure <= LIMIT_MAX for figure in figures):
            found.append(f"Kind {each.name!r}: a limit is a whole number from 0 to {LIMIT_MAX:,}, or null for none.")
        if any(not 1 <= size <= PACK_MAX for size in each.packs) or len(set(each.packs)) < len(each.packs):
            found.append(
                f"Kind {each.name!r}: a pack holds at least one credit and at most {PACK_MAX:,}, each size once."
            )
    return found


def with_kinds(plans: Iterable[CreditPlan], kinds: Iterable[CreditKind]) -> tuple[CreditPlan, ...]:
    """Return the plans with what each grants of further kinds, in that order."""
    found = tuple(plans)
    for kind in kinds:
        found = with_kind(found, kind)
    return found
