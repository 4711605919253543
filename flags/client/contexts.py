"""Users as Unleash's contexts. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

SIGNUP_DATE, ZULU = "signupDate", "Z"


def unleash_context(
    user_id: str | int | None, signed_up_at: datetime | None, attributes: Mapping[str, str]
) -> dict[str, object]:
    """Return the context in the one spelling that all engines read; shares of users go by the user id alone."""
    if signed_up_at is not None and signed_up_at.tzinfo is None:
        raise ValueError(f"signed_up_at is {signed_up_at!r}, without a time zone; say which it is.")
    signed_up = {SIGNUP_DATE: _timestamp(signed_up_at)} if signed_up_at else {}
    user = {} if user_id is None else {"userId": str(user_id)}
    return {**user, "properties": {**attributes, **signed_up}}


def _timestamp(instant: datetime) -> str:
    """Return the instant as flags spell it, `2026-07-01T00:00:00.000Z`; what is finer than a millisecond is cut off."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + ZULU
