"""Instants in the bodies of requests."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("That is no date in UTC; write one between the years 1 and 9999.") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A datetime with an offset, read into UTC; one that UTC has no date for is refused like any other mistake."""
