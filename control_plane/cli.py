"""The `rollout` command. Each package adds its own commands to the same group."""

import os
import signal
import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import NoReturn

import click
from flask import Flask
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from control_plane import answers, bootstrap, migrations, move_job, rollouts
from control_plane.accounts_cli import token, user
from control_plane.app import PACKAGES, create_app
from control_plane.audit_cli import audit_group
from control_plane.change_context import ChangeContext
from control_plane.checklists.cli import checklist_group
from control_plane.cli_options import (
    accepted,
    change_rollout,
    confirm_losing_option,
    flag_option,
    line,
    reason_option,
)
from control_plane.environment_variable import variable_notice
from control_plane.flag_cli import approve_command, archive_command, delete_command, list_command, revive_command
from control_plane.gates import GateResult
from control_plane.phases import FLAG, Rollout
from control_plane.plans.cli import plan_group
from control_plane.platform import private_files, start_checks
from control_plane.platform.db import database, errors, pooler
from control_plane.platform.observability import prometheus_multiprocess
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    actor,
    echo_result,
    in_application,
    in_new_application,
    json_option,
    retry_while_locked,
)
from control_plane.platform.settings import Settings, SettingsError, current
from control_plane.server import check_port, serve


@click.group()
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
        lines = _prepare(app, settings)
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
            made = bootstrap.bootstrap(session, datetime.now(UTC))
            stands = line(rollouts.find(session, FLAG))
        database.db.engine.dispose()  # the workers are forked from here and open connections of their own
    password = made.owner_password
    sign_in = f"Sign in   owner / {password}   (shown once; `rollout account add` makes more people)"
    notice = variable_notice(FLAG, settings)
    return [*([sign_in] if password else []), f"Rollout   {stands}", *([f"Note      {notice}"] if notice else [])]


@rollout.command("status")
@flag_option
@json_option
@in_application
def status_command(*, flag: str, as_json: bool) -> None:
    """Print the phase, the state and the verdict of every gate."""
    now = datetime.now(UTC)
    with database.read_only() as session:
        found = rollouts.find(session, flag)
        gates = rollouts.gates(session, found, now)
        move = move_job.planned_move(session, found, now, clocks_apart=move_job.clocks_apart(session))
    notice = variable_notice(flag, current())
    document = rollouts.summary(found) | {
        "environment_variable": notice,
        "gates": [{"name": gate.name, "status": gate.status, "reason": gate.reason} for gate in gates],
        "next_move": answers.move_document(move),
    }
    lines = [line(found), *([notice] if notice else []), *map(_gate_line, gates), f"Next      {move.sentence}"]
    echo_result(document, "\n".join(lines), as_json=as_json)


@rollout.command("advance")
@flag_option
@click.option(
    "--approve",
    "approval",
    default="",
    help="Why the step is safe, for the gates that can't tell yet.",
)
@confirm_losing_option
@json_option
@in_application
def advance_command(*, flag: str, approval: str, confirm_losing: bool, as_json: bool) -> None:
    """One step up, if every gate is open."""
    change_rollout(
        flag, rollouts.advance, as_json=as_json, versioned=True, approval=approval, confirm_losing=confirm_losing
    )


@rollout.command("hold")
@flag_option
@reason_option
@json_option
@in_application
def hold_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Keep the exposure and refuse to advance."""
    change_rollout(flag, rollouts.hold, as_json=as_json, reason=reason)


@rollout.command("resume")
@flag_option
@reason_option
@json_option
@in_application
def resume_command(*, flag: str, reason: str, as_json: bool) -> None:
    """End a hold."""
    change_rollout(flag, rollouts.resume, as_json=as_json, reason=reason)


@rollout.command("step-back")
@flag_option
@reason_option
@json_option
@in_application
def step_back_command(*, flag: str, reason: str, as_json: bool) -> None:
    """One step down; those added last leave first."""
    change_rollout(flag, rollouts.step_back, as_json=as_json, versioned=True, reason=reason)


@rollout.command("rollback")
@flag_option
@reason_option
@json_option
@in_application
def rollback_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Give everybody legacy at once, until the rollout is re-armed."""

    def roll_back(session: Session) -> Rollout:
        decision = rollouts.roll_back(session, flag, ChangeContext(datetime.now(UTC), actor(), reason))
        found = rollouts.find(session, flag)
        return found if found.latched else accepted(decision)

    found = retry_while_locked(roll_back)
    echo_result(rollouts.summary(found), line(found), as_json=as_json)


@rollout.command("rearm")
@flag_option
@reason_option
@json_option
@in_application
def rearm_command(*, flag: str, reason: str, as_json: bool) -> None:
    """A new attempt at the lowest step, after the cool-down."""
    change_rollout(flag, rollouts.rearm, as_json=as_json, versioned=True, reason=reason)


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


rollout.add_command(plan_group)
for command in (list_command, approve_command, archive_command, revive_command, delete_command):
    rollout.add_command(command)
rollout.add_command(audit_group)
rollout.add_command(checklist_group)
rollout.add_command(token)
rollout.add_command(user)


def command_line() -> click.Group:
    """Every command of every package."""
    for package in PACKAGES:
        import_module(f"{package}.cli").register(rollout)
    return rollout


def main() -> None:
    """Run the command line: one sentence for a failure, exit code 0 done, 1 refused or failed, 2 misused."""
    commands = command_line()
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


def _gate_line(gate: GateResult) -> str:
    return f"  {gate.status:8} {gate.name}: {gate.reason}"
