"""Figures in words that people read: spans, instants, shares and counts. Pure, and the templates' filters."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

MINUTE, HOUR, DAY = 60, 3_600, 86_400
ACRONYMS = ("api",)
IDENTIFIER = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|\+00:00)")
NARROW = "\u202f"
"""A narrow space that never breaks: between a figure and its unit, and between thousands."""


def span(length: timedelta | float) -> str:
    """A length of time in at most two units: `45 s`, `12 min`, `5 h 20 min`, `1 d 18 h`."""
    seconds = max(0, int(length.total_seconds() if isinstance(length, timedelta) else length))
    if seconds < MINUTE:
        return f"{seconds}{NARROW}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}{NARROW}min"
    if seconds < DAY:
        return _two(seconds // HOUR, "h", seconds % HOUR // MINUTE, "min")
    return _two(seconds // DAY, "d", seconds % DAY // HOUR, "h")


def duration(length: timedelta) -> str:
    """Format a length to the minute, so that a sentence with it does not change every second."""
    return span(length) if length >= timedelta(minutes=1) else "less than a minute"


def clock(instant: datetime) -> str:
    """The time of day, to the second: `12:04:31 UTC`."""
    return f"{instant.astimezone(UTC):%H:%M:%S} UTC"


def moment(instant: datetime) -> str:
    """The day and the minute: `22 Nov 2026, 14:54 UTC`."""
    utc = instant.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def moments(text: str) -> str:
    """`text` with each instant in it as people read one: `1 Dec 2026, 00:00 UTC` for 2026-12-01T00:00:00Z."""
    return INSTANT.sub(_read_instant, text)


def day(instant: datetime) -> str:
    """The day alone: `22 Nov 2026`."""
    utc = instant.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y}"


def minute(number: float) -> str:
    """A minute of the epoch as a time of day: `14:54`."""
    return f"{datetime.fromtimestamp(number * MINUTE, UTC):%H:%M}"


def day_and_minute(number: float) -> str:
    """A minute of the epoch with its day: `22 Nov 14:54`."""
    utc = datetime.fromtimestamp(number * MINUTE, UTC)
    return f"{utc.day} {utc:%b %H:%M}"


def ago(instant: datetime, now: datetime) -> str:
    """Format the distance to an instant: `just now` within a minute, `12 min ago`, `in 5 h`."""
    seconds = (now - instant).total_seconds()
    if abs(seconds) < MINUTE:
        return "just now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def share(ratio: float) -> str:
    """A ratio as a percentage with two or three figures; what is tiny is not rounded to nothing."""
    percent = ratio * 100
    if 0 < percent < 0.001:
        return f"<{NARROW}0.001{NARROW}%"
    return f"{percent:.2g}{NARROW}%" if percent < 10 else f"{percent:.3g}{NARROW}%"


def percentage(whole: int) -> str:
    """A whole percentage: `25 %`."""
    return f"{whole}{NARROW}%"


def count(number: int) -> str:
    """A count with its thousands apart: `12 450`."""
    return f"{number:,}".replace(",", NARROW)


def pluralize(number: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 gate`, `4 gates`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def sentence_case(text: str) -> str:
    """`text` with the names of alerts in it written as words: `api_error_rate` becomes `API error rate`."""
    return IDENTIFIER.sub(lambda found: plain(found[0]), text)


def figure(name: str, value: object) -> str:
    """One figure of a gate's evidence, read by the unit at the end of its name."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return _number(name, value)
        case list() | tuple():
            return ", ".join(str(each) for each in value) or "none"
        case Mapping():
            return ", ".join(f"{plain(str(key)).lower()} {figure(str(key), each)}" for key, each in value.items())
        case _:
            return "none" if value is None else str(value)


def plain(name: str) -> str:
    """A name as a label: `required_seconds` becomes `Required`, `api_error_rate` becomes `API error rate`."""
    first, *rest = name.removesuffix("_seconds").replace("_", " ").split(" ")
    return " ".join([first.upper() if first in ACRONYMS else first.capitalize(), *rest])


def sentence(text: str) -> str:
    """`text` with the full stop that it may lack, so that sentences can follow one another."""
    text = text.strip()
    return text if not text or text[-1] in ".!?:" else f"{text}."


def first_sentence(text: str) -> str:
    """The first sentence of `text`; the figures after it are told elsewhere."""
    return sentence(text.partition(". ")[0])


def _read_instant(found: re.Match[str]) -> str:
    try:
        return moment(datetime.fromisoformat(found[0]))
    except ValueError:
        return found[0]


def _number(name: str, value: float) -> str:
    if name.endswith("_seconds"):
        return span(value)
    if isinstance(value, int):
        return count(value)
    return share(value) if name.endswith(("rate", "ratio", "threshold")) else f"{value:.3g}"


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    rest = f" {second}{NARROW}{second_unit}" if second else ""
    return f"{first}{NARROW}{first_unit}{rest}"
