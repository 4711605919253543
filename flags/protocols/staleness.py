"""Telling callers that what they get has not been confirmed for a while."""

from flags.client_features.refresher import refresher

HEADER = "Rollout-Stale-Seconds"


def staleness() -> tuple[tuple[str, str], ...]:
    """The header that says for how long the database has not confirmed what is served; none while it does."""
    seconds = refresher().stale_seconds
    return ((HEADER, str(int(seconds))),) if seconds else ()
