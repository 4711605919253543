"""An outage in the log: one line for each cause and one for its end, however often it is met in between.

Some twenty jobs meet an outage of the database again each few seconds, and would hide everything else.
"""

import structlog

log = structlog.get_logger()


class OutageLog:
    """The failures of one thing that is tried again and again."""

    def __init__(self, failed: str, recovered: str, **fields: object) -> None:
        """Name the event of a failure and that of the end; `fields` stand in both."""
        self._failed, self._recovered, self._fields = failed, recovered, fields
        self._cause: str | None = None
        self._failures = 0

    def failure(self, error: Exception, cause: str) -> None:
        """Take note of a failure; log it unless the one before had the same cause."""
        self._failures += 1
        if cause != self._cause:
            self._cause = cause
            log.error(self._failed, **self._fields, error=type(error).__name__, cause=cause)

    def success(self) -> None:
        """Take note that it worked; log the end of an outage, with the number of failures."""
        if self._cause is not None:
            log.info(self._recovered, **self._fields, failures=self._failures)
            self._cause, self._failures = None, 0
