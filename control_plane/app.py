"""The application factory: the platform first, then each package by name."""

from importlib import import_module

from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane import api, described, migrations, schema_versions
from control_plane.platform import (
    addresses,
    announce,
    crowding,
    database,
    health,
    identity,
    jobs,
    openapi,
    pooler,
    problems,
    proxies,
    security,
    signals,
    telemetry,
    turnstile,
)
from control_plane.platform.settings import Settings

PLATFORM = (
    addresses,
    telemetry,
    problems,
    security,
    health,
    announce,
    signals,
    jobs,
    crowding,
    identity,
    openapi,
    pooler,
)
"""What stands below every package, each part after those that it needs."""
PACKAGES = ("flags", "credits_engine", "alerts", "dashboards")
"""Composed by name and imported late: nothing below knows what stands above it."""
SCHEMA_SECONDS = 2.0


def create_app(settings: Settings | None = None, *, schema_may_wait: bool = False) -> Flask:
    """An application on `settings` (default: the environment's), its schema brought up to date.

    With `schema_may_wait` that happens as soon as the database can be reached, which is not waited for.
    """
    settings = settings or Settings.from_env()
    app = Flask("control_plane", static_folder=None)
    app.extensions["settings"] = settings
    app.secret_key = settings.secret_key
    database.init_app(app, settings)
    for part in PLATFORM:
        part.init_app(app)
    with app.app_context():
        _upgrade_schema(app, may_wait=schema_may_wait)
        api.init_app(app)
        described.init_app(app)
        schema_versions.init_app(app)
        for name in PACKAGES:
            import_module(name).init_app(app)
    proxies.init_app(app, settings)
    turnstile.init_app(app, settings)
    return app


def start_background(app: Flask) -> None:
    """Start the change feed and the schedule of this process; call it after any fork."""
    app.extensions["change_feed"].start()
    jobs.of(app).start()


def stop_background(app: Flask) -> None:
    """Write what is still in memory, hand over the lead and end every open stream."""
    app.extensions["change_feed"].stop()
    jobs.of(app).stop()


def _upgrade_schema(app: Flask, *, may_wait: bool) -> None:
    try:
        migrations.upgrade()
    except migrations.SchemaError:
        database.db.engine.dispose()
        raise
    except OperationalError:
        if not may_wait:
            raise
        app.extensions["schema_pending"] = True
        jobs.of(app).everywhere(SCHEMA_SECONDS, "upgrade-schema", lambda _now: _upgrade_once(app))


def _upgrade_once(app: Flask) -> None:
    if app.extensions["schema_pending"]:
        migrations.upgrade()
        app.extensions["schema_pending"] = False
