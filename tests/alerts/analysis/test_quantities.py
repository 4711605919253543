from decimal import Decimal

import pytest

from alerts.analysis import quantities
from alerts.analysis.metrics import Unit


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("1%", Unit.RATIO, "0.01"),
        ("0.1%", Unit.RATIO, "0.001"),
        ("0%", Unit.RATIO, "0"),
        ("500ms", Unit.DURATION, "0.5"),
        ("1.5s", Unit.DURATION, "1.5"),
        ("2m", Unit.DURATION, "120"),
    ],
)
def test_a_threshold_is_read_exactly(text: str, unit: Unit, amount: str) -> None:
    assert quantities.parse_threshold(text) == quantities.Threshold(unit, Decimal(amount), text)


@pytest.mark.parametrize("text", ["", "1", "%", "1 %", "-1%", "1e3%", "1%%", "٣%", "1.%", ".5%", "5 m", "5M"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 1%, 0\.5% or 500ms"):
        quantities.parse_threshold(text)


SECONDS = {"250ms": "0.25", "30s": "30", "5m": "300", "1h": "3600", "1d": "86400"}


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items())
def test_every_unit_of_time_is_known(text: str, seconds: str) -> None:
    assert quantities.parse_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    ("seconds", "spoken"),
    [(300, "5m"), (60, "1m"), (90, "90s"), (3600, "1h"), (5400, "90m"), (86400, "1d"), (0.5, "0.5s"), (600.0, "10m")],
)
def test_a_duration_is_said_in_the_largest_unit_that_divides_it(seconds: float, spoken: str) -> None:
    assert quantities.duration_text(seconds) == spoken
