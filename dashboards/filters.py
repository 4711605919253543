"""Figures in words that people read: spans, instants, shares and counts. Pure, and the templates' filters."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from babel.dates import format_skeleton
from babel.numbers import get_decimal_symbol

from control_plane.rollout_names import environment_of, flag_of
from credits_engine.engines.amounts import Amounts
from dashboards.language import gettext, locale, ngettext
from dashboards.names import NAMES, NOUNS
from dashboards.time_zone import local, offset, use_time_zone

MINUTE, HOUR, DAY = 60, 3_600, 86_400
ACRONYMS = ("api",)
CAMEL = re.compile(r"(?<=[a-z])[A-Z](?=[a-z])")
IDENTIFIER = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
INSTANT = re.compile(r"\b\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)| \d\d:\d\d UTC)")
ISO_DAY = re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w:-])")
DURATION = re.compile(r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
NARROW = "\u202f"
"""A narrow space that never breaks: between a figure and its unit, and between thousands."""
FIGURES = (
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), NARROW),
    (re.compile(r"(?<=\d)%"), f"{NARROW}%"),
    (re.compile(r"(?<=last )(\d+)m\b"), rf"\1{NARROW}min"),
    (re.compile(r"(?<=last )(\d+)([hds])\b"), rf"\1{NARROW}\2"),
)
"""How stored sentences write figures, and what pages write instead."""


def span(length: timedelta | float) -> str:
    """Return a length of time in at most two units: `45 s`, `12 min`, `5 h 20 min`, `1 d 18 h`."""
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
    return span(length) if length >= timedelta(minutes=1) else gettext("less than a minute")


def clock(instant: datetime) -> str:
    """Return the reader's time of day, to the second: `12:04:31 UTC+1`."""
    return f"{local(instant):%H:%M:%S} {offset(instant)}"


def moment(instant: datetime) -> str:
    """Return the reader's day and minute: `22 Nov 2026, 15:54 UTC+1`."""
    return f"{day(instant)}, {local(instant):%H:%M} {offset(instant)}"


def utc_moment(instant: datetime) -> str:
    """Return the day and the minute in UTC: `22 Nov 2026, 14:54 UTC`."""
    with use_time_zone("UTC"):
        return moment(instant)


def moments(text: str) -> str:
    """`text` with the instants in it by the reader's clock: `1 Dec 2026, 01:00 UTC+1` for 2026-12-01T00:00:00Z."""
    return INSTANT.sub(_read_instant, text)


def day(instant: datetime) -> str:
    """Return the reader's day alone: `22 Nov 2026`."""
    at = local(instant)
    return str(format_skeleton("yMMMd", at, tzinfo=at.tzinfo, locale=locale()))


def utc_day(instant: datetime) -> str:
    """Return the day in UTC, of what begins and ends with days there, such as a billing period: `1 Dec 2026`."""
    with use_time_zone("UTC"):
        return day(instant)


def iso_day(text: str) -> str:
    """Return a day as ISO 8601 writes it, as people read one: `22 Nov 2026`; any other text as it is."""
    try:
        return utc_day(datetime.combine(date.fromisoformat(text), time(), UTC))
    except ValueError:
        return text


def minute(number: float) -> str:
    """Return a minute of the epoch as the reader's time of day: `15:54`."""
    return f"{_from_epoch(number):%H:%M}"


def day_and_minute(number: float) -> str:
    """Return a minute of the epoch with the reader's day: `22 Nov 15:54`."""
    at = _from_epoch(number)
    return f"{format_skeleton('MMMd', at, tzinfo=at.tzinfo, locale=locale())} {at:%H:%M}"


def offset_at(number: float) -> str:
    """Return how far the reader's clock is from UTC at a minute of the epoch: `UTC+1`."""
    return offset(_from_epoch(number))


def ago(instant: datetime, now: datetime) -> str:
    """Format the distance to an instant: `just now` within a minute, `12 min ago`, `in 5 h`."""
    seconds = (now - instant).total_seconds()
    if abs(seconds) < MINUTE:
        return gettext("just now")
    if seconds > 0:
        return gettext("%(span)s ago", span=span(seconds))
    return gettext("in %(span)s", span=span(-seconds))


def share(ratio: float) -> str:
    """Return a ratio as a percentage with two or three figures; what is tiny is not rounded to nothing."""
    percent = ratio * 100
    if 0 < percent < 0.001:
        return f"<{NARROW}{_decimal('0.001')}{NARROW}%"
    return f"{_decimal(f'{percent:.2g}' if percent < 10 else f'{percent:.3g}')}{NARROW}%"


def tenths(number: float) -> str:
    """Return a number with one decimal: `2.7`."""
    return _decimal(f"{number:.1f}")


def percentage(whole: int) -> str:
    """Return a whole percentage: `25 %`."""
    return f"{whole}{NARROW}%"


def count(number: int) -> str:
    """Return a count with its thousands apart: `12 450`."""
    return f"{number:,}".replace(",", NARROW)


def pluralize(number: int, noun: str) -> str:
    """Return a count with its noun, which stands in NOUNS: `1 gate`, `4 gates`."""
    return ngettext(*NOUNS[noun], number, count=count(number))


def joined(texts: Sequence[str]) -> str:
    """Join words as a sentence lists them: `a, b and c`."""
    *others, last = texts
    return gettext("%(others)s and %(last)s", others=", ".join(others), last=last) if others else last


def credit_amounts(amounts: Amounts) -> str:
    """Write credits with their kinds, as a sentence has them: `1 analysis credit and 8 roast credits`, `no credits`."""
    given = [
        ngettext("%(count)s %(kind)s credit", "%(count)s %(kind)s credits", abs(amount), count=count(amount), kind=kind)
        for kind, amount in amounts.items()
        if amount
    ]
    return joined(given) if given else gettext("no credits")


def sentence_case(text: str) -> str:
    """`text` with the names of alerts in it written as words: `api_error_rate` becomes `API error rate`."""
    return figures_in(IDENTIFIER.sub(lambda found: plain(found[0]), text))


def stored_sentence(text: str) -> str:
    """Do the same with a sentence that is stored: it is English in every language, and so are its names."""
    return figures_in(IDENTIFIER.sub(lambda found: in_english(found[0]), text))


def figures_in(text: str) -> str:
    """`text` with its figures, instants and days as every page writes them: `1 827`, `0.1 %`, `the last 5 min`."""
    for pattern, replacement in FIGURES:
        text = pattern.sub(replacement, text)
    return ISO_DAY.sub(lambda found: iso_day(found[0]), moments(text))


def iso_duration(text: str) -> str:
    """Return a length of time as ISO 8601 writes it, in words: `1 d 18 h` for `P1DT18H`; any other text as it is."""
    found = DURATION.fullmatch(text)
    if found is None:
        return text
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return span(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))


def figure(name: str, value: object) -> str:
    """Return one figure of a gate's evidence, read by the unit at the end of its name."""
    match value:
        case bool():
            return gettext("yes") if value else gettext("no")
        case int() | float():
            return _number(name, value)
        case list() | tuple():
            return ", ".join(str(each) for each in value) or gettext("none")
        case Mapping():
            return ", ".join(f"{plain(str(key)).lower()} {figure(str(key), each)}" for key, each in value.items())
        case _:
            return gettext("none") if value is None else str(value)


def plain(name: str) -> str:
    """Return a name as a label: `required_seconds` becomes `Required`, `expiresAt` becomes `Expires at`.

    Names of ours have one in each language; others stand in their own words.
    """
    snake = CAMEL.sub(lambda found: f"_{found[0].lower()}", name)
    known = NAMES.get(snake.removesuffix("_seconds"))
    return gettext(known) if known else in_english(snake)


def in_english(name: str) -> str:
    """Return a name as a label in its own words."""
    first, *rest = name.removesuffix("_seconds").replace("_", " ").split(" ")
    parts = [first.capitalize(), *rest]
    return " ".join(word.upper() if word.lower() in ACRONYMS else word for word in parts)


def sentence(text: str) -> str:
    """`text` with the full stop that it may lack, so that sentences can follow one another."""
    text = text.strip()
    return text if not text or text[-1] in ".!?:" else f"{text}."


def rollout_title(name: str) -> str:
    """Return the name of a rollout: `FLAG in staging` for that of one environment."""
    environment = environment_of(name)
    if environment is None:
        return name
    return gettext("%(flag)s in %(environment)s", flag=flag_of(name), environment=environment)


def first_sentence(text: str) -> str:
    """Return the first sentence of `text`; the figures after it are told elsewhere."""
    return sentence(text.partition(". ")[0])


def _from_epoch(number: float) -> datetime:
    return local(datetime.fromtimestamp(number * MINUTE, UTC))


def _read_instant(found: re.Match[str]) -> str:
    try:
        return moment(datetime.fromisoformat(found[0].replace(" UTC", "+00:00")))
    except ValueError:
        return found[0]


def _number(name: str, value: float) -> str:
    if name.endswith("_seconds"):
        return span(value)
    if isinstance(value, int):
        return count(value)
    return share(value) if name.endswith(("rate", "ratio", "threshold", "chance")) else _decimal(f"{value:.3g}")


def _decimal(figure: str) -> str:
    return figure.replace(".", get_decimal_symbol(locale()))


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    rest = f" {second}{NARROW}{second_unit}" if second else ""
    return f"{first}{NARROW}{first_unit}{rest}"
