"""The checklists of a plan: what has to be done before a phase may be left, and once everyone has the flag. Pure.

An item with a check ticks and unticks itself; every other one is signed by a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import ConfigDict

from control_plane.core.value_types import CLOCK_SKEW, LONGEST_DAYS, Duration

NAME_MAX, TITLE_MAX, CHECK_MAX = 100, 200, 500
AFTER_COMPLETE_MAX = timedelta(days=LONGEST_DAYS)


class ItemStatus(StrEnum):
    """`open` waits for a person, `failing` is what a check found, `unknown` is what no check can tell now."""

    TICKED = "ticked"
    OPEN = "open"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One thing to do. `check` names what looks by itself, as `kind` or `kind:argument`; empty where a person signs."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    title: str
    check: str = ""


@dataclass(frozen=True, slots=True)
class Checklist:
    """Items that belong together: to be ticked before each of `phases` is left, or by a time after the last one.

    With `once` the signatures hold for every later attempt as well.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    title: str
    items: tuple[ChecklistItem, ...]
    phases: tuple[str, ...] = ()
    after_complete: Duration | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """A person's word that an item is done, with a note or a link."""

    actor: str
    at: datetime
    note: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer of a check: True, False, or None where it can't tell."""

    passed: bool | None
    sentence: str


def passed(sentence: str) -> CheckResult:
    """Return that it is so."""
    return CheckResult(passed=True, sentence=sentence)


def failed(sentence: str) -> CheckResult:
    """Return that it is not so; nobody may sign it meanwhile."""
    return CheckResult(passed=False, sentence=sentence)


def unknown(sentence: str) -> CheckResult:
    """Return that it can't be told; a person may sign it."""
    return CheckResult(passed=None, sentence=sentence)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What a check found `at` a time, and until when that may be believed."""

    result: CheckResult
    at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class ItemState:
    """How one item stands, with the sentence that says why."""

    item: ChecklistItem
    status: ItemStatus
    sentence: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class ChecklistState:
    """How one checklist stands in one phase; `phase` is empty for one that follows the rollout."""

    checklist: Checklist
    phase: str
    items: tuple[ItemState, ...]
    due_at: datetime | None = None

    @property
    def ticked(self) -> int:
        """Return the number of items that are done."""
        return len(self.of(ItemStatus.TICKED))

    def of(self, *statuses: ItemStatus) -> tuple[ItemState, ...]:
        """Return the items in any of these statuses."""
        return tuple(each for each in self.items if each.status in statuses)

    def is_late(self, now: datetime) -> bool:
        """Return whether the time for it is over and something is still to be done."""
        return self.due_at is not None and self.due_at < now and self.ticked < len(self.items)


def item_state(
    item: ChecklistItem, signature: Signature | None, stored: StoredResult | None, now: datetime
) -> ItemState:
    """Return how `item` stands. A person may sign what a check can't tell, and never what it finds to be false."""
    fresh = stored.result if stored and stored.at - CLOCK_SKEW <= now <= stored.valid_until else None
    if item.check and fresh and fresh.passed is not None:
        status = ItemStatus.TICKED if fresh.passed else ItemStatus.FAILING
        return ItemState(item, status, fresh.sentence, signature)
    if signature:
        return ItemState(item, ItemStatus.TICKED, f"Signed by {signature.actor}.", signature)
    if not item.check:
        return ItemState(item, ItemStatus.OPEN, "Nobody has signed it yet.")
    return ItemState(item, ItemStatus.UNKNOWN, _unknown_sentence(stored, fresh))


def checklists_of_phase(checklists: Sequence[Checklist], phase: str) -> tuple[Checklist, ...]:
    """Return the checklists that have to be done before `phase` is left."""
    return tuple(each for each in checklists if phase in each.phases)


def due_times(checklists: Sequence[Checklist], completed_at: datetime | None) -> Mapping[str, datetime]:
    """Return until when each checklist that follows the rollout is to be done; nothing before it is complete."""
    if completed_at is None:
        return {}
    return {each.name: completed_at + each.after_complete for each in checklists if each.after_complete is not None}


def checklist_errors(checklists: Sequence[Checklist], phases: Sequence[str]) -> Iterator[str]:
    """Yield every reason why these checklists can't belong to a plan of these phases, as sentences."""
    names = [each.name for each in checklists]
    yield from (f"Checklist name {name!r} is used twice." for name in sorted(set(names)) if names.count(name) > 1)
    for checklist in checklists:
        place = f"Checklist {checklist.name[:NAME_MAX]!r}"
        yield from (f"{place}: the plan has no phase {name!r}." for name in checklist.phases if name not in phases)
        if bool(checklist.phases) == (checklist.after_complete is not None):
            yield f"{place}: say either `phases`, before whose end it is due, or `after_complete`, a time."
        if checklist.after_complete is not None and not timedelta(0) <= checklist.after_complete <= AFTER_COMPLETE_MAX:
            yield f"{place}: after_complete can't be negative, or longer than {AFTER_COMPLETE_MAX.days} days."
        items = [each.name for each in checklist.items]
        yield from (f"{place}: item {name!r} is there twice." for name in sorted(set(items)) if items.count(name) > 1)
        if not items:
            yield f"{place}: it needs at least one item."
        yield from _text_errors(checklist)


def _text_errors(checklist: Checklist) -> Iterator[str]:
    called = [(checklist.name, checklist.title), *((item.name, item.title) for item in checklist.items)]
    for name, title in called:
        if not 1 <= len(name) <= NAME_MAX or not name.isprintable() or "/" in name:
            rule = f"a name of 1 to {NAME_MAX} characters without /"
            yield f"A checklist or item has {rule}, not {name[:NAME_MAX]!r}."
        if len(title) > TITLE_MAX:
            yield f"Checklist or item {name[:NAME_MAX]!r}: a title has at most {TITLE_MAX} characters."
        if len(title.splitlines()) > 1:
            yield f"Checklist or item {name[:NAME_MAX]!r}: a title is one line."
    for item in checklist.items:
        if len(item.check) > CHECK_MAX or not item.check.isprintable():
            yield f"Item {item.name[:NAME_MAX]!r}: a check has at most {CHECK_MAX} characters."


def _unknown_sentence(stored: StoredResult | None, fresh: CheckResult | None) -> str:
    if fresh:
        return fresh.sentence
    if stored:
        return f"Last looked at {stored.at:%Y-%m-%d %H:%M} UTC, which is too long ago; see that a server runs."
    return "No server has looked yet; one does within seconds."
