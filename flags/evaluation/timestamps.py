"""Instants on the wire: one spelling that every engine reads, and a comparison that every engine makes.

The official engines agree on dates only when they are written in full, in UTC, with `Z`. And the one under the Node
SDK compares `DATE_AFTER` with the current time whatever context field the constraint names, so that everybody would
count as a new signup. Instants of this one spelling sort as text: that a signup is later is therefore said as a list
of beginnings, which every engine tests alike.
"""

from datetime import UTC, datetime

from flags.evaluation.rollout_flag import floor_millisecond

ZULU = "Z"
HIGHEST_DIGITS = "9999-19-39T29:59:59.999"
"""The highest digit that each place of an instant can hold."""


def format_timestamp(instant: datetime) -> str:
    """Return the instant as the wire spells it: `2026-07-01T00:00:00.000Z`.

    Whatever is finer than a millisecond is cut off.
    """
    return floor_millisecond(instant).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + ZULU


def parse_timestamp(text: str) -> datetime | None:
    """Return the instant that a service sent, UTC when it names no zone; None when it is no instant."""
    try:
        instant = datetime.fromisoformat(text.strip())
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def earlier_prefixes(instant: datetime) -> list[str]:
    """Return the prefixes of strictly earlier timestamps."""
    spelling = format_timestamp(instant).removesuffix(ZULU)
    return [
        f"{spelling[:place]}{digit}"
        for place, highest in enumerate(HIGHEST_DIGITS)
        if highest.isdigit()
        for digit in range(int(spelling[place]))
    ]


def later_prefixes(instant: datetime) -> list[str]:
    """Return the prefixes of strictly later timestamps; none that ends in `Z` and is not later begins so."""
    spelling = format_timestamp(instant).removesuffix(ZULU)
    return [
        f"{spelling[:place]}{digit}"
        for place, highest in enumerate(HIGHEST_DIGITS)
        if highest.isdigit()
        for digit in range(int(spelling[place]) + 1, int(highest) + 1)
    ]
