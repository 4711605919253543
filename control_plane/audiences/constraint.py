"""A condition on one attribute of a customer, in Unleash's operators: how it reads, and which conditions are wider.

Whether somebody meets it is decided by the official engine (`flags/evaluation/conditions.py`) and nowhere else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache

from pydantic import ConfigDict


class Operator(StrEnum):
    """Unleash's operators."""

    IN = "IN"
    NOT_IN = "NOT_IN"
    STR_STARTS_WITH = "STR_STARTS_WITH"
    STR_ENDS_WITH = "STR_ENDS_WITH"
    STR_CONTAINS = "STR_CONTAINS"
    NUM_EQ = "NUM_EQ"
    NUM_GT = "NUM_GT"
    NUM_GTE = "NUM_GTE"
    NUM_LT = "NUM_LT"
    NUM_LTE = "NUM_LTE"
    DATE_AFTER = "DATE_AFTER"
    DATE_BEFORE = "DATE_BEFORE"
    SEMVER_EQ = "SEMVER_EQ"
    SEMVER_GT = "SEMVER_GT"
    SEMVER_GTE = "SEMVER_GTE"
    SEMVER_LT = "SEMVER_LT"
    SEMVER_LTE = "SEMVER_LTE"
    REGEX = "REGEX"
    IN_CIDR = "IN_CIDR"


LISTS = frozenset({"IN", "NOT_IN", "STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "IN_CIDR"})
DATES = frozenset({"DATE_AFTER", "DATE_BEFORE"})
LOWER_BOUNDS = frozenset({"NUM_GT", "NUM_GTE", "DATE_AFTER"})
UPPER_BOUNDS = frozenset({"NUM_LT", "NUM_LTE", "DATE_BEFORE"})
OPPOSITES = {Operator.IN: Operator.NOT_IN, Operator.NOT_IN: Operator.IN}
COMPARISONS_REMEMBERED = 10_000
"""As many as a plan of 100 audiences by attributes takes, each of which is compared with each again and again."""
OF_THE_CALL = frozenset({"currentTime", "appName", "environment", "remoteAddress", "sessionId"})
"""Fields that say something of a request: by these a customer would have the flag here and not there."""
TEXT = {
    "IN": "is {}",
    "NOT_IN": "is not {}",
    "STR_STARTS_WITH": "starts with {}",
    "STR_ENDS_WITH": "ends with {}",
    "STR_CONTAINS": "contains {}",
    "NUM_EQ": "equals {}",
    "NUM_GT": "is above {}",
    "NUM_GTE": "is at least {}",
    "NUM_LT": "is below {}",
    "NUM_LTE": "is at most {}",
    "DATE_AFTER": "is after {}",
    "DATE_BEFORE": "is before {}",
    "SEMVER_EQ": "is version {}",
    "SEMVER_GT": "is above version {}",
    "SEMVER_GTE": "is at least version {}",
    "SEMVER_LT": "is below version {}",
    "SEMVER_LTE": "is at most version {}",
    "REGEX": "matches {}",
    "IN_CIDR": "is within {}",
}


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition; several of a phase must all be met. A comparison takes exactly one of `values`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    context_name: str
    operator: Operator
    values: tuple[str, ...]
    inverted: bool = False
    case_insensitive: bool = False

    @property
    def sentence(self) -> str:
        """The condition inside a sentence: `plan is pro or team`."""
        text = f"{self.context_name} {TEXT[self.operator].format(' or '.join(self.values))}"
        return f"it is not true that {text}" if self.inverted else text

    def errors(self) -> Iterator[str]:
        """Yield every reason why no plan can use it; what engines would read differently is found by the flags."""
        if self.context_name in OF_THE_CALL:
            yield f"{self.context_name} describes a request, not a customer."
        if not self.values:
            yield f"{self.context_name} {self.operator} needs a value."
        elif self.operator not in LISTS and len(self.values) > 1:
            yield f"{self.context_name} {self.operator} takes one value, not {len(self.values)}."
        if self.operator in DATES:
            if self.inverted:
                yield f"{self.context_name} {self.operator} can't be inverted; write the other operator."
            if any(_instant(value) is None for value in self.values):
                yield f"{self.context_name} {self.operator} needs a date with its time zone, as 2026-01-01T00:00:00Z."


@lru_cache(maxsize=COMPARISONS_REMEMBERED)
def contains(wider: tuple[Constraint, ...], narrower: tuple[Constraint, ...]) -> bool:
    """Return whether it is certain that whoever meets `narrower` meets `wider` too; when in doubt it is not."""
    return all(any(_is_implied(each, by) for by in narrower) for each in wider)


def listed(constraints: tuple[Constraint, ...]) -> str:
    """Return all conditions inside a sentence."""
    return " and ".join(constraint.sentence for constraint in constraints)


def _is_implied(wider: Constraint, narrower: Constraint) -> bool:
    if wider.context_name != narrower.context_name:
        return False
    wide, narrow = _plain(wider), _plain(narrower)
    if wide == narrow:
        return True
    if replace(wide, values=()) != replace(narrow, values=()):
        return False
    if wide.operator in LISTS:
        # A list that excludes is wider the less it names.
        excludes = (wide.operator is Operator.NOT_IN) is not wide.inverted
        return set(wide.values) <= set(narrow.values) if excludes else set(narrow.values) <= set(wide.values)
    read: Callable[[str], object] = _instant if wide.operator in DATES else _number
    bounds = read(wide.values[0]), read(narrow.values[0])
    return None not in bounds and _is_wider_bound(wide, *bounds)


def _is_wider_bound(constraint: Constraint, wide: object, narrow: object) -> bool:
    if constraint.operator in LOWER_BOUNDS:
        return bool(narrow <= wide if constraint.inverted else wide <= narrow)  # type: ignore[operator]
    if constraint.operator in UPPER_BOUNDS:
        return bool(wide <= narrow if constraint.inverted else narrow <= wide)  # type: ignore[operator]
    return False


@lru_cache(maxsize=COMPARISONS_REMEMBERED)
def _plain(constraint: Constraint) -> Constraint:
    """Return the condition with its values in one order, and an inverted list of exact values as the opposite list."""
    ordered = replace(constraint, values=tuple(sorted(set(constraint.values))))
    opposite = OPPOSITES.get(constraint.operator)
    return replace(ordered, operator=opposite, inverted=False) if opposite and constraint.inverted else ordered


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None
