"""The `rollout` command. Each package adds its own commands to the same group."""

import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click
import structlog
from flask import Flask
from sqlalchemy.exc import DBAPIError, OperationalError

from control_plane import bootstrap, migrations, rollouts, support_bundle
from control_plane.app import PACKAGES, create_app
from control_plane.audit.cli import audit_group
from control_plane.checklists.cli import checklist_group
from control_plane.experiments.credits import FLAG
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
    in_application_without_database,
    in_new_application,
    json_option,
)
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from control_plane.rollouts import cli as rollout_commands
from control_plane.rollouts.cli_options import line
from control_plane.rollouts.environment_variable import variable_notice

log = structlog.get_logger()


class CommandLine(click.Group):
    """The commands of the platform, and those of every package, which are loaded when one of theirs is asked for."""

    def load_packages(self) -> None:
        """Add the commands of every package. Their imports take as long as most commands of the platform."""
        for package in PACKAGES:
            import_module(f"{package}.cli").register(self)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command called `name`."""
        if name not in self.commands:
            self.load_packages()
        return super().get_command(context, name)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        self.load_packages()
        return super().list_commands(context)


@click.group(cls=CommandLine)
@click.version_option(package_name="rollout-control-plane", message="%(prog)s %(version)s")
def rollout() -> None:
    """Take a flag through its rollout phases, watched by a guard that rolls back by itself."""
    os.umask(private_files.UMASK)


@rollout.command("serve")
def serve_command() -> None:
    """Serve the page and the API; makes database, rollout and first owner if there are none."""
    # The servers, which no other command needs.
    from control_plane.command_server import server as command_server  # noqa: PLC0415
    from control_plane.command_server import wire  # noqa: PLC0415
    from control_plane.server import check_port, serve  # noqa: PLC0415

    settings = Settings.from_env()
    check_port(settings)
    prometheus_multiprocess.set_up(settings)
    command_server.start(wire.address(os.environ), run)
    _announce({"page": f"http://{settings.host}:{settings.port}", **_prepare(settings)}, settings)
    serve(settings)


def _announce(facts: Mapping[str, str], settings: Settings) -> None:
    """Say what begins: to people in lines, to whatever reads JSON as one event of the log."""
    if settings.log_format == "json":
        log.info("server.starting", **facts)
        return
    lines = {**facts, "stop": "Ctrl-C"}.items()
    click.echo("\n".join(f"{name.replace('_', ' ').capitalize():<10}{text}" for name, text in lines))
    sys.stdout.flush()


def _prepare(settings: Settings) -> dict[str, str]:
    """Check and make what a start needs; returns what there is to tell. The application ends with it.

    Each worker makes its own, in the memory that this one leaves.
    """
    try:
        app = create_app(settings)
        start_checks.run(app)
        return {"alerts": str(settings.alerts_file), **_set_up(app, settings)}
    except OperationalError:
        if not any(settings.flags_backup_dir.glob("*")):
            raise
        return {"database": "can't be reached; flags are served from the last backup until it answers"}


def _set_up(app: Flask, settings: Settings) -> dict[str, str]:
    """Make what a first start needs; returns what there is to tell."""
    with app.app_context():
        with database.transaction() as session:
            made = bootstrap.bootstrap(session, clock.now())
            stands = line(rollouts.find(session, FLAG))
        database.db.engine.dispose()  # the workers are forked from here and open connections of their own
    notice = variable_notice(FLAG, settings)
    found = {"sign_in": _sign_in(made.owner_password, settings), "rollout": stands, "note": notice}
    return {name: text for name, text in found.items() if text}


def _sign_in(password: str | None, settings: Settings) -> str | None:
    """Say how the first owner signs in. A log for programs is stored and shown to many: no password goes there."""
    if password is None:
        return None
    if settings.log_format == "json":
        return "`rollout account password owner` prints a password for the first account, owner"
    return f"owner / {password}   (shown once; `rollout account add` makes more people)"


@rollout.command("support-bundle")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@in_application_without_database
def support_bundle_command(*, path: Path, as_json: bool) -> None:
    """Write versions, settings, readiness and rollouts to PATH, a ZIP without secrets or people."""
    try:
        size = support_bundle.write(path, clock.now())
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}.") from error
    echo_result({"path": str(path), "bytes": size}, f"{path}: {size:,} bytes.", as_json=as_json)


class DatabaseGroup(click.Group):
    """The commands of the schema, and those that packages add."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command called `name`."""
        if name not in self.commands:
            rollout.load_packages()
        return super().get_command(context, name)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        rollout.load_packages()
        return super().list_commands(context)


@rollout.group("db", cls=DatabaseGroup)
def database_group() -> None:
    """Upgrade the database's schema, and check whether it can be spread."""


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
    """Return every command of every package."""
    rollout.load_packages()
    return rollout


def run() -> None:
    """Run the command line: one sentence for a failure, exit code 0 done, 1 refused or failed, 2 misused."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, so that temporary folders go and what a command started ends. `serve` has its own handlers.
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        rollout(prog_name="rollout")
    except (Problem, SettingsError, migrations.SchemaError, rollouts.UnknownRolloutError) as error:
        _fail(str(error))
    except DBAPIError as error:
        if pooler.REFUSED_OPTIONS in str(error.orig):
            _fail(pooler.SENTENCE.format(how="it refuses `options`"))
        sentence = errors.command_sentence(error)
        if not sentence:
            raise
        _fail(sentence)


def _fail(sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(1)
