"""What must hold before a server starts, as each package registers it. The command line asks none of it."""

from collections.abc import Callable

from flask import Flask

KEY = "start_checks"

Check = Callable[[], None]
"""Returns if the server may start; raises SettingsError with a sentence that says what to change."""


def register(app: Flask, check: Check) -> None:
    """Ask `check` before this application is served."""
    app.extensions.setdefault(KEY, []).append(check)


def run(app: Flask) -> None:
    """Raise SettingsError for the first check that fails."""
    with app.app_context():
        for check in app.extensions.get(KEY, []):
            check()
