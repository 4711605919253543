"""The `rollout` command. Each package adds its own commands to the same group."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click
from flask import Flask
from sqlalchemy.exc import OperationalError, ProgrammingError

from control_plane import bootstrap, migrations, rollouts, support_bundle
from control_plane.app import PACKAGES, create_app
from control_plane.audit.cli import audit_group
from control_plane.checklists.cli import checklist_group
from control_plane.core.phases import FLAG
from control_plane.mcp_server.cli import mcp_command
from control_plane.people.cli import token, user
from control_plane.plans.cli import plan_group
from control_plane.platform import clock, private_files, start_checks
from control_plane.platform.db import database, errors, pooler
from control_plane.platform.observability import prometheus_multiprocess
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    echo_result,
    in_application,
    in_new_application,
    json_option,
)
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from control_plane.rollouts import cli as rollout_commands
from control_plane.rollouts.cli_options import (
    line,
)
from control_plane.rollouts.environment_variable import variable_notice
from control_plane.server import check_port, serve


@click.group()
@click.version_option(package_name="rollout-control-plane", message="%(prog)s %(version)s")
def rollout() -> None:
    """Take a flag through its rollout phases, watched by a guard that rolls back by itself."""
    os.umask(private_files.UMASK)


@rollout.command("serve")
def serve_command() -> None:
    """Serve the page and the API; makes database, rollout and first owner if there are none."""
    settings = Settings.from_env()
    check_port(settings)
    prometheus_multiprocess.set_up(settings)
    try:
        app = create_app(settings)
        start_checks.run(app)
        lines = [f"Alerts    {settings.alerts_file}", *_prepare(app, settings)]
    except OperationalError:
        if not any(settings.flags_backup_dir.glob("*")):
            raise
        lines = ["Database  can't be reached; flags are served from the last backup until it answers"]
    click.echo("\n".join([f"Page      http://{settings.host}:{settings.port}", *lines, "Stop      Ctrl-C"]))
    sys.stdout.flush()
    serve(settings)


def _prepare(app: Flask, settings: Settings) -> list[str]:
    """Make what a first start needs; returns what there is to tell."""
    with app.app_context():
        with database.transaction() as session:
            made = bootstrap.bootstrap(session, clock.now())
            stands = line(rollouts.find(session, FLAG))
        database.db.engine.dispose()  # the workers are forked from here and open connections of their own
    password = made.owner_password
    sign_in = f"Sign in   owner / {password}   (shown once; `rollout account add` makes more people)"
    notice = variable_notice(FLAG, settings)
    return [*([sign_in] if password else []), f"Rollout   {stands}", *([f"Note      {notice}"] if notice else [])]


@rollout.command("support-bundle")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@in_application
def support_bundle_command(*, path: Path, as_json: bool) -> None:
    """Write versions, settings, readiness and rollouts to PATH, a ZIP without secrets or people."""
    try:
        size = support_bundle.write(path, clock.now())
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}.") from error
    echo_result({"path": str(path), "bytes": size}, f"{path}: {size:,} bytes.", as_json=as_json)


@rollout.group("db")
def database_group() -> None:
    """The database's schema."""


@database_group.command("upgrade")
@json_option
@in_new_application
def upgrade_command(*, as_json: bool) -> None:
    """Bring the schema up to this code's version, making the database if there is none."""
    head = migrations.head()
    echo_result({"version": head}, f"The database is at version {head}.", as_json=as_json)


rollout_commands.add_commands(rollout)
for group in (plan_group, audit_group, checklist_group, token, user, mcp_command):
    rollout.add_command(group)


def command_line() -> click.Group:
    """Every command of every package."""
    for package in PACKAGES:
        import_module(f"{package}.cli").register(rollout)
    return rollout


def run(commands: click.Group) -> None:
    """Run the command line: one sentence for a failure, exit code 0 done, 1 refused or failed, 2 misused."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, so that temporary folders go and what a command started ends. `serve` has its own handlers.
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        commands()
    except (Problem, SettingsError, migrations.SchemaError, rollouts.UnknownRolloutError) as error:
        _fail(str(error))
    except OperationalError as error:
        if errors.is_lock_timeout(error.orig):
            _fail(f"Somebody else holds a lock that this needs, so nothing was changed: {str(error.orig).strip()}")
        if pooler.REFUSED_OPTIONS in str(error.orig):
            _fail(pooler.SENTENCE.format(how="it refuses `options`"))
        _fail(f"The database can't be reached: {str(error.orig).strip()} Check DATABASE_URL and that it runs.")
    except ProgrammingError as error:
        if not errors.is_permission_denied(error.orig):
            raise
        _fail(f"The database does not let this role do that: {str(error.orig).strip()}")


def _fail(sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(1)
