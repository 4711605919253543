"""The application factory: the platform first, then each package by name."""

from importlib import import_module

from flask import Flask

from control_plane import api, migrations
from control_plane.platform import announce, database, health, identity, jobs, problems, security, signals, telemetry
from control_plane.platform.settings import Settings

PACKAGES = ("flags", "credits_engine", "alerts", "dashboards")
"""Composed by name and imported late: nothing below knows what stands above it."""


def create_app(settings: Settings | None = None) -> Flask:
    """An application on `settings` (default: the environment's), its schema brought up to date."""
    settings = settings or Settings.from_env()
    app = Flask("control_plane", static_folder=None)
    app.extensions["settings"] = settings
    app.secret_key = settings.secret_key
    database.init_app(app, settings)
    for part in (telemetry, problems, security, health, announce, signals, jobs, identity):
        part.init_app(app)
    with app.app_context():
        migrations.upgrade()
        api.init_app(app)
        for name in PACKAGES:
            import_module(name).init_app(app)
    return app


def start_background(app: Flask) -> None:
    """Start the change feed and the schedule of this process; call it after any fork."""
    app.extensions["change_feed"].start()
    jobs.of(app).start()


def stop_background(app: Flask) -> None:
    """Write what is still in memory, hand over the lead and end every open stream."""
    app.extensions["change_feed"].stop()
    jobs.of(app).stop()
