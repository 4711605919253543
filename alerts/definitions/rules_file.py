"""`alerts.yaml` on disk: read at start, read again when it changes, kept as it was when the new text is wrong."""

from pathlib import Path

import structlog
from flask import current_app

from alerts.definitions import reading
from alerts.definitions.reading import RulesRefused
from alerts.judgement.rules import Rule
from control_plane.platform.settings import SettingsError

log = structlog.get_logger()

Stamp = tuple[int, int, int]


class RulesFile:
    """The rules in force. `problem` says why the file on disk is not what is in force, and is None while it is."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises SettingsError with every mistake, since a guard without rules must not start."""
        self._path = path
        self.problem: str | None = None
        self._arriving: Stamp | None = None
        try:
            self._stamp: Stamp | None = _stamp(path)
            self.rules: tuple[Rule, ...] = reading.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path} can't be read ({error.strerror}); set ALERTS_FILE to the alerts.") from error
        except (RulesRefused, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} can't be used. {error}") from error

    def refresh(self) -> tuple[Rule, ...]:
        """The rules in force now, after a look at the file; its cost while nothing changed is one `stat`.

        A change is read at the look after the one that found it: the first half of a file that is still being written
        may well be valid, with fewer alerts.
        """
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return self.rules
            if stamp != self._arriving:
                self._arriving = stamp
                return self.rules
            rules = reading.parse(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            self._keep(None, f"{self._path} can't be read ({error.strerror}); the rules read before stay in force.")
        except (RulesRefused, UnicodeDecodeError) as error:
            self._keep(stamp, f"{self._path} can't be used, so the rules read before stay in force. {error}")
        else:
            self.rules, self._stamp, self.problem = rules, stamp, None
            log.info("alerts.reloaded", alerts=[rule.name for rule in rules])
        return self.rules

    def _keep(self, stamp: Stamp | None, problem: str) -> None:
        if problem != self.problem:
            log.error("alerts.reload_refused", problem=problem)
        self._stamp, self.problem = stamp, problem


def current() -> RulesFile:
    """The rules of the running application."""
    found = current_app.extensions["rules_file"]
    assert isinstance(found, RulesFile)
    return found


def _stamp(path: Path) -> Stamp:
    """What tells one content from the next: an editor may replace the file within the clock's resolution."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
