"""Whether a SQLite database may have been written since the last look, by its files: a look costs microseconds."""

import os
import time
from dataclasses import dataclass

SETTLED_NS = 50_000_000
"""A file's time moves in steps of some milliseconds, so a younger one may hide a second write."""
SKIPS_MAX = 9
"""After so many looks without news the answer is yes all the same."""


@dataclass(slots=True)
class FileChanges:
    """The write-ahead log, which every commit appends to, and the database, which a checkpoint or a restore writes."""

    database: str | None
    """None, or empty, where there is no file: then it may always have changed."""
    _seen: tuple[tuple[int, int, int], ...] = ()
    _skips: int = 0

    def may_be_new(self) -> bool:
        """Return False only where nothing was written since this returned True."""
        if not self.database:
            return True
        found = tuple(map(_state, (f"{self.database}-wal", self.database)))
        youngest = max(changed_ns for _, _, changed_ns in found)
        is_settled = time.time_ns() - youngest > SETTLED_NS
        if found == self._seen and is_settled and self._skips < SKIPS_MAX:
            self._skips += 1
            return False
        # What is not settled yet is looked at again, as if it had not been seen.
        self._seen, self._skips = found if is_settled else (), 0
        return True


def _state(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
