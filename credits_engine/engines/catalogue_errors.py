"""What contradicts itself in a catalogue, a sentence each."""

import re
from collections import Counter
from collections.abc import Set

from credits_engine.engines.amounts import KINDS
from credits_engine.engines.credit_plan import CreditKind, CreditPlan

KIND_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")


def catalogue_errors(plans: tuple[CreditPlan, ...]) -> list[str]:
    """Return every contradiction as a sentence; empty when both engines can rely on the catalogue."""
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
        for position, limit in enumerate(limits.figures):
            kind = KINDS[position] if position < len(KINDS) else "new"
            if limit is not None and (type(limit) is not int or limit < 0):
                mistakes.append(
                    f"Plan {plan.name!r}: {engine} {kind} limit is {limit!r}; write a whole number from 0, or None."
                )
    return mistakes


def kind_errors(kind: CreditKind, plans: Set[str], known: Set[str]) -> list[str]:
    """Return why a kind can't be granted, a sentence each."""
    mistakes = [] if KIND_NAME.fullmatch(kind.name) else [f"Kind {kind.name!r}: write small letters and digits."]
    mistakes += [f"Kind {kind.name!r} is in the catalogue already."] if kind.name in known else []
    for engine, limits in (("v2", kind.v2), ("legacy", kind.legacy)):
        odd = sorted(limits.keys() ^ plans)
        mistakes += (
            [f"Kind {kind.name!r}: {engine} needs a limit for each plan and no other; see {', '.join(odd)}."]
            if odd
            else []
        )
    for name in kind.differences.keys() - plans:
        mistakes.append(f"Kind {kind.name!r}: it declares a difference for {name!r}, which is no plan.")
    return mistakes
