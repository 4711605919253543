"""Where the real Chromium is, how it is started, and the proof that the browser tests ran where they must."""

import os
import shutil

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The build without windows first: the same pages take it 0.6 of the processor time, and no test looks at a window."""
HOW_TO_GET_IT = (
    "The browser tests need Chromium: apt-get install chromium-headless-shell (Debian), "
    "or name one: CHROMIUM=/path/to/chromium make test"
)
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-first-run",
)
FOLDER = "tests/browser/"


def executable() -> str | None:
    """Return the Chromium of this machine: `CHROMIUM`, or the first known name on the path."""
    names = (os.environ["CHROMIUM"],) if os.environ.get("CHROMIUM") else NAMES
    return next(filter(None, map(shutil.which, names)), None)


def is_required() -> bool:
    """Return whether a browser test that doesn't run is a failure (`REQUIRE_BROWSER=1`, as in CI)."""
    return os.environ.get("REQUIRE_BROWSER") == "1"


class RequireBrowserTests:
    """A pytest plugin: fails the session in which no browser test passed, or one was skipped."""

    def __init__(self) -> None:
        self._passed = 0
        self._skipped = 0

    @property
    def _satisfied(self) -> bool:
        return self._passed > 0 and self._skipped == 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid.startswith(FOLDER):
            self._passed += report.when == "call" and report.passed
            self._skipped += report.skipped

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._satisfied and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)  # next to the summary line, where it can't be overlooked
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._satisfied:
            counts = f"{self._passed} passed, {self._skipped} skipped"
            terminalreporter.write_line(f"REQUIRE_BROWSER=1, but of the browser tests {counts}.", red=True)
