"""The application factory: the platform first, then each package by name."""

from importlib import import_module

from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane import checklists, migrations, schema_check
from control_plane.audit import api as audit_api
from control_plane.people import api as people_api
from control_plane.plans import api as plans_api
from control_plane.plans import schemas as plan_schemas
from control_plane.platform import problems
from control_plane.platform.auth import audit_anchors, audit_check, authorization, oidc, sign_in_failures, tokens
from control_plane.platform.db import database, pooler
from control_plane.platform.extensions import AppState
from control_plane.platform.http import compression, health, openapi, proxies, url_converters
from control_plane.platform.http.application import Application
from control_plane.platform.observability import signals, telemetry, tracing
from control_plane.platform.runtime import change_feed, jobs, pool_saturation, unresponsive_server
from control_plane.platform.settings import SETTINGS, Settings
from control_plane.rollouts import api, http_checks, move_job, schemas

PLATFORM = (
    url_converters,
    telemetry,
    tracing,
    problems,
    authorization,
    health,
    change_feed,
    signals,
    jobs,
    pool_saturation,
    unresponsive_server,
    tokens,
    audit_anchors,
    audit_check,
    sign_in_failures,
    oidc,
    openapi,
    compression,
    pooler,
)
"""What stands below every package, each part after those that it needs."""
ROLLOUTS = (
    api,
    plans_api,
    http_checks,
    move_job,
    audit_api,
    people_api,
    schemas,
    plan_schemas,
    schema_check,
    checklists,
)
"""Rollouts and what belongs to them."""
PACKAGES = ("flags", "credits_engine", "alerts", "dashboards")
"""Composed by name and imported late: nothing below knows what stands above it."""
PAGES = "dashboards"
SCHEMA_SECONDS = 2.0
SCHEMA_PENDING = AppState[bool]("schema_pending")


def create_app(settings: Settings | None = None, *, schema_may_wait: bool = False, has_pages: bool = True) -> Flask:
    """Return an application on `settings` (default: the environment's), its schema brought up to date.

    With `schema_may_wait` that happens as soon as the database can be reached, which is not waited for. Without pages
    it is made in less time.
    """
    settings = settings or Settings.from_env()
    app = Application("control_plane", static_folder=None)
    SETTINGS.set(app, settings)
    app.secret_key = settings.secret_key
    app.config["SECRET_KEY_FALLBACKS"] = list(settings.secret_key_fallbacks)
    database.init_app(app, settings)
    for part in PLATFORM:
        part.init_app(app)
    with app.app_context():
        _upgrade_schema(app, may_wait=schema_may_wait)
        for part in ROLLOUTS:
            part.init_app(app)
        for name in PACKAGES:
            if has_pages or name != PAGES:
                import_module(name).init_app(app)
    proxies.init_app(app, settings)
    return app


def start_background(app: Flask) -> None:
    """Start the change feed and the schedule of this process; call it after any fork."""
    change_feed.FEED.get(app).start()
    jobs.jobs_of(app).start()


def stop_background(app: Flask) -> None:
    """Write what is still in memory, hand over the lead and end every open stream."""
    change_feed.FEED.get(app).stop()
    jobs.jobs_of(app).stop()


def _upgrade_schema(app: Flask, *, may_wait: bool) -> None:
    try:
        migrations.upgrade()
    except migrations.SchemaError:
        database.db.engine.dispose()
        raise
    except OperationalError:
        if not may_wait:
            raise
        SCHEMA_PENDING.set(app, value=True)
        jobs.jobs_of(app).run_on_all(SCHEMA_SECONDS, "upgrade-schema", lambda _now: _upgrade_once(app))


def _upgrade_once(app: Flask) -> None:
    if SCHEMA_PENDING.get(app):
        migrations.upgrade()
        SCHEMA_PENDING.set(app, value=False)
