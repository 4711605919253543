"""When credits run low: the thresholds that the user's card and the summary speak by."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil

from credits_engine.engines.amounts import KINDS, Kind, Limit
from credits_engine.engines.decisions import Book

CAUTION_RATIO, CRITICAL_RATIO, UPGRADE_RATIO = 0.75, 0.90, 0.80
ENDING_DAYS = 3
SECONDS_PER_DAY = 86_400


class Level(StrEnum):
    """The level of usage: green below 75 % of a limit, yellow from there, red from 90 %."""

    OK = "ok"
    CAUTION = "caution"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Something worth telling the user. `kind` is None where it concerns all."""

    code: str
    kind: Kind | None
    message: str


def used_ratio(used: int, limit: Limit) -> float:
    """Return the used part of a limit, from 0 to 1; nothing of an unlimited one, all of a limit of 0."""
    if limit is None:
        return 0.0
    return min(1.0, used / limit) if limit else 1.0


def with_packs(limit: Limit, bought: int) -> Limit:
    """Add the packs to the limit of a period."""
    return None if limit is None else limit + bought


def level(used: int, limit: Limit) -> Level:
    """Return the colour's name."""
    ratio = used_ratio(used, limit)
    if ratio >= CRITICAL_RATIO:
        return Level.CRITICAL
    return Level.CAUTION if ratio >= CAUTION_RATIO else Level.OK


def days_left(period_end: datetime, now: datetime) -> int:
    """Return days until the period ends, each begun day counted."""
    return max(0, ceil((period_end - now).total_seconds() / SECONDS_PER_DAY))


def recommendations(book: Book, now: datetime) -> list[Recommendation]:
    """Return an upgrade for each kind that is used to 80 %, and a word on the new period in the last three days."""
    found = []
    for kind in KINDS:
        used, limit = book.used[kind], with_packs(book.limits[kind], book.bought[kind])
        if used_ratio(used, limit) >= UPGRADE_RATIO:
            message = f"{used:,} of {limit:,} {kind} credits are used; a larger plan has more."
            found.append(Recommendation("UPGRADE", kind, message))
    days = days_left(book.period.end, now)
    if days <= ENDING_DAYS:
        message = f"New credits in {days} day{'' if days == 1 else 's'}."
        found.append(Recommendation("PERIOD_ENDS_SOON", None, message))
    return found
