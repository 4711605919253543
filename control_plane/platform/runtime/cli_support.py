"""Shared parts of every `rollout` command: the application, JSON or text output, one sentence for a failure."""

import getpass
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import click
from flask import Flask
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import CONSOLE, trimmed
from control_plane.platform import clock
from control_plane.platform.db import errors, lock_holders
from control_plane.platform.db.database import db, transaction
from control_plane.platform.observability import signals
from control_plane.platform.row_ids import ROW_ID_MAX
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., object])

PATIENCE_SECONDS = 60.0
"""How long a change waits for locks of others; each try waits as long as the database's own limit."""
PAUSE_SECONDS = 0.5

ROW_ID = click.IntRange(1, ROW_ID_MAX)
"""The type of an argument that names a row by its number."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def reason_option(text: str = "Why; kept in the audit trail.") -> Callable[[Decorated], Decorated]:
    """Return the option by which a change says why; blanks say nothing."""
    return click.option("--reason", required=True, callback=_reason, help=text)


def _reason(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    if not trimmed(reason):
        raise click.UsageError("Say why: a reason is required.")
    return reason


class CommandFailed(click.ClickException):
    """The command was understood and can't be done: one sentence, exit code 1."""

    exit_code = 1


def actor() -> str:
    """Return the name of the console's user for the audit trail."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        name = f"uid-{os.getuid()}"
    return f"{CONSOLE}{name}"


def application(*, may_create_database: bool = False, needs_database: bool = True) -> Flask:
    """Make the application on this console's settings, without background threads.

    Without `needs_database` one that can't be reached is no reason to fail.

    Raises SettingsError where SQLite has no database yet, unless it may be created: an emergency stop in the wrong
    folder would otherwise stop a new, empty installation and report success. Nor is a secret key made then: a command
    leaves nothing in the folder that it is run from, which it may not even be able to write.
    """
    settings = Settings.from_env(may_make_key=may_create_database)
    url = make_url(settings.database_url)
    if not may_create_database and url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise SettingsError(
            f"There is no database at {url.database}. Set INSTANCE_DIR or DATABASE_URL to those of the installation; "
            "`rollout serve` or `rollout db upgrade` makes a new one."
        )
    # By name: the application stands above the platform.
    app = import_module("control_plane.app").create_app(settings, has_pages=False, schema_may_wait=not needs_database)
    assert isinstance(app, Flask)
    return app


def in_application(command: Callable[..., object]) -> Callable[..., object]:
    """Run a command inside an application context; what it counted reaches the guard, as no schedule runs here."""
    return _in_application(command)


def in_application_without_database(command: Callable[..., object]) -> Callable[..., object]:
    """Run a command like `in_application`, also while the database can't be reached."""
    return _in_application(command, needs_database=False)


def in_new_application(command: Callable[..., object]) -> Callable[..., object]:
    """Run a command like `in_application`, on a new database where there is none yet."""
    return _in_application(command, may_create_database=True)


def _in_application(
    command: Callable[..., object], *, may_create_database: bool = False, needs_database: bool = True
) -> Callable[..., object]:
    @wraps(command)
    def run(*arguments: object, **options: object) -> object:
        with application(may_create_database=may_create_database, needs_database=needs_database).app_context():
            try:
                return command(*arguments, **options)
            finally:
                # Lost evidence is no reason to call a command failed that did its work.
                with suppress(SQLAlchemyError):
                    signals.flush(clock.now())
                db.engine.dispose()

    return run


def retry_while_locked(work: Callable[[Session], T]) -> T:
    """Run `work` in a transaction, again and again while somebody else's lock keeps it from being done.

    Says at each try who holds the lock. Raises CommandFailed once PATIENCE_SECONDS are over.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with transaction() as session:
                return work(session)
        except OperationalError as error:
            if not errors.is_lock_timeout(error.orig):
                raise
            holder = _lock_holder()
        if time.monotonic() >= give_up:
            raise CommandFailed(f"Nothing was changed. {holder} End that transaction, then try again.")
        click.echo(f"Waiting. {holder}", err=True)
        _pause()


def _pause() -> None:
    time.sleep(PAUSE_SECONDS)


def _lock_holder() -> str:
    try:
        with db.engine.connect() as connection:
            return lock_holders.describe(connection)
    except SQLAlchemyError:
        return lock_holders.UNKNOWN


def echo_result(document: Mapping[str, object], text: str, *, as_json: bool) -> None:
    """Print the answer for a script or for a person."""
    click.echo(json.dumps(document, default=str, indent=2) if as_json else text)
