"""Checks before a server starts, as each package registers them. Commands run none of them."""

from collections.abc import Callable

from flask import Flask

from control_plane.platform.extensions import AppState

Check = Callable[[], None]
"""Returns if the server may start; raises SettingsError with a sentence that says what to change."""

CHECKS = AppState[list[Check]]("start_checks", list)


def register(app: Flask, check: Check) -> None:
    """Ask `check` before this application is served."""
    CHECKS.get(app).append(check)


def run(app: Flask) -> None:
    """Raise SettingsError for the first check that fails."""
    with app.app_context():
        for check in CHECKS.get(app):
            check()
