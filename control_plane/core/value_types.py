"""The types of values that people write into a plan. Pure.

A number is no duration and no instant: read as seconds, `soak: 7` would be over after seven of them, and sign-ups after
`20260701` would be everybody's. 0 alone is the same in every unit.
"""

from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, NaiveDatetime, StrictInt
from pydantic_core import PydanticKnownError


def _written_duration(value: object) -> object:
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    if _is_number(value):
        raise PydanticKnownError("time_delta_parsing", {"error": "a number"})
    return value


def _written_instant(value: object) -> object:
    if _is_number(value):
        raise PydanticKnownError("datetime_parsing", {"error": "a number"})
    return value


def _is_number(value: object) -> bool:
    if not isinstance(value, str):
        return isinstance(value, int | float)
    try:
        float(value)
    except ValueError:
        return False
    return True


CLOCK_SKEW = timedelta(minutes=1)
"""How far in the future a time may lie that another process noted."""
LONGEST_DAYS = 3650
"""The longest time of a plan: a longer one is a typing error."""
WholeNumber = StrictInt
Duration = Annotated[timedelta, BeforeValidator(_written_duration)]
Instant = Annotated[datetime, BeforeValidator(_written_instant)]
LocalTime = Annotated[NaiveDatetime, BeforeValidator(_written_instant)]
Day = Annotated[date, BeforeValidator(_written_instant)]
