"""Ratios, durations and numbers as people write them in `alerts.yaml`, read exactly.

Each parser raises ValueError with a sentence that says what was written, what was expected, and shows an example.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from alerts.analysis.metrics import Unit

NUMBER_PATTERN = r"[0-9]{1,9}(\.[0-9]{1,9})?"
RATIO_PATTERN = NUMBER_PATTERN + "%"
DURATION_PATTERN = NUMBER_PATTERN + "(ms|s|m|h|d)"
SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A ratio (0.01 for 1%) or a duration in seconds, with the text it was written as."""

    unit: Unit
    amount: Decimal
    text: str


def parse_threshold(text: str) -> Threshold:
    """Parse `1%`, `0.5%` or `500ms`."""
    if re.fullmatch(RATIO_PATTERN, text):
        return Threshold(Unit.RATIO, Decimal(text[:-1]) / 100, text)
    if re.fullmatch(DURATION_PATTERN, text):
        return Threshold(Unit.DURATION, _seconds(text), text)
    raise ValueError(f"{text!r} is neither a ratio nor a duration; write it like 1%, 0.5% or 500ms.")


def parse_ratio(text: str) -> Decimal:
    """Return `0.1%` as 0.001."""
    if not re.fullmatch(RATIO_PATTERN, text):
        raise ValueError(f"{text!r} is not a ratio; write it like 0.1%.")
    return Decimal(text[:-1]) / 100


def parse_duration(text: str) -> Decimal:
    """Return `5m` as 300 seconds."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration; write a number and ms, s, m, h or d, like 30s or 5m.")
    return _seconds(text)


def parse_number(text: str) -> Decimal:
    """Parse `2` or `99.9`."""
    if not re.fullmatch(NUMBER_PATTERN, text):
        raise ValueError(f"{text!r} is not a plain number; write it like 2 or 99.9.")
    return Decimal(text)


def duration_text(seconds: float) -> str:
    """Write 300 as `5m`: the largest unit that divides it."""
    for unit in ("d", "h", "m"):
        size = float(SECONDS[unit])
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def _seconds(text: str) -> Decimal:
    digits = text.rstrip("mshd")
    return Decimal(digits) * SECONDS[text[len(digits) :]]
