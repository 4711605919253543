"""At which parts of a limit the product is told, and which of them one operation passed. Pure."""

from credits_engine.engines.amounts import Limit

PERCENTS = (80, 95, 100)


def passed(before: int, after: int, limit: Limit) -> tuple[int, ...]:
    """Return the thresholds, in percent of `limit`, that lie above `before` and not above `after`."""
    if not limit:
        return ()
    return tuple(percent for percent in PERCENTS if before * 100 < percent * limit <= after * 100)
