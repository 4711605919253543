"""`alerts.yaml` on disk: read at start, read again when it changes, kept as it was when the new text is wrong.

A file that can't be used stops a server from starting, and no command: an emergency is when it is most likely broken.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from alerts.analysis.rules import Rule
from alerts.definitions import parser
from alerts.definitions.parser import Definitions, InvalidRules
from control_plane.experiments.migration import Migration
from control_plane.platform.extensions import AppState
from control_plane.platform.setting_values import SettingsError

log = structlog.get_logger()

Stamp = tuple[int, int, int]


class RulesFile:
    """The rules in force. `problem` says why the file on disk is not what is in force, and is None while it is.

    `loaded` is False until the file could be used once: no rules are in force then, and nothing may be guarded by them.
    `declared` are the migrations of the file.
    """

    def __init__(self, path: Path, migrations: Callable[[], Iterable[Migration]] = tuple) -> None:
        """Read the file, which may name the signals of `migrations`; what is wrong with it becomes `problem`."""
        self._path = path
        self._migrations = migrations
        self._arriving: Stamp | None = None
        self._stamp: Stamp | None = None
        self.rules: tuple[Rule, ...] = ()
        self.declared: tuple[Migration, ...] = ()
        self.loaded = False
        self.problem: str | None = None
        try:
            self._stamp = _stamp(path)
            self._set(self._parse())
            self.loaded = True
        except OSError as error:
            self.problem = f"{path} can't be read ({error.strerror}); set ALERTS_FILE to the alerts."
        except (InvalidRules, UnicodeDecodeError) as error:
            self.problem = f"{path} can't be used. {error}"

    def require(self) -> None:
        """Raise SettingsError with every mistake unless rules are in force."""
        if not self.loaded:
            raise SettingsError(self.problem or f"{self._path} was not read.")

    def refresh(self) -> tuple[Rule, ...]:
        """Return the rules in force now, after a look at the file; its cost while nothing changed is one `stat`.

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
            found = self._parse()
        except OSError as error:
            self._set_problem(None, f"{self._path} can't be read ({error.strerror}); {self._consequence}.")
        except (InvalidRules, UnicodeDecodeError) as error:
            self._set_problem(stamp, f"{self._path} can't be used, so {self._consequence}. {error}")
        else:
            self._set(found)
            self._stamp, self.problem, self.loaded = stamp, None, True
            log.info("alerts.reloaded", alerts=[rule.name for rule in self.rules])
        return self.rules

    def _set(self, found: Definitions) -> None:
        self.rules, self.declared = found.rules, found.migrations

    def _parse(self) -> Definitions:
        return parser.parse_definitions(self._path.read_text(encoding="utf-8"), self._migrations())

    @property
    def _consequence(self) -> str:
        return "the rules read before stay in force" if self.loaded else "no alert is in force"

    def _set_problem(self, stamp: Stamp | None, problem: str) -> None:
        if problem != self.problem:
            log.error("alerts.reload_refused", problem=problem)
        self._stamp, self.problem = stamp, problem


RULES_FILE = AppState[RulesFile]("rules_file")


def current() -> RulesFile:
    """Return the rules of the running application."""
    return RULES_FILE.get()


def _stamp(path: Path) -> Stamp:
    """Return what tells one content from the next: an editor may replace the file within the clock's resolution."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
