"""`rollout status`, `advance`, `hold`, `rollback` and their kind: where one rollout stands, and its moves."""

import click
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateResult
from control_plane.core.phases import Rollout
from control_plane.platform import clock
from control_plane.platform.db import database
from control_plane.platform.runtime.cli_support import (
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
    retry_while_locked,
)
from control_plane.platform.settings import current
from control_plane.rollouts import answers, flag_cli, move_job, service
from control_plane.rollouts.cli_options import (
    accepted,
    change_rollout,
    confirm_losing_option,
    flag_option,
    line,
)
from control_plane.rollouts.environment_variable import variable_notice
from control_plane.rollouts.segments import segment_notices


@click.command("status")
@flag_option
@json_option
@in_application
def status_command(*, flag: str, as_json: bool) -> None:
    """Print the phase, the state and the verdict of every gate."""
    now = clock.now()
    with database.read_only() as session:
        found = service.find(session, flag)
        gates = service.gates(session, found, now)
        move = move_job.planned_move(session, found, now, clocks_apart=move_job.clocks_apart(session))
        changed = [each.sentence for each in segment_notices(session, found.plan)]
    notice = variable_notice(flag, current())
    document = service.summary(found) | {
        "environment_variable": notice,
        "segment_notices": changed,
        "gates": [{"name": gate.name, "status": gate.status, "reason": gate.reason} for gate in gates],
        "next_move": answers.move_document(move),
    }
    notices = [*([notice] if notice else []), *changed]
    lines = [line(found), *notices, *map(_gate_line, gates), f"Next      {move.sentence}"]
    if found.plan.contacts:
        lines.append(f"Contacts  {'; '.join(found.plan.contacts)}")
    echo_result(document, "\n".join(lines), as_json=as_json)


@click.command("advance")
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
    """Go one step up, if every gate is open."""
    change_rollout(
        flag, service.advance, as_json=as_json, versioned=True, approval=approval, confirm_losing=confirm_losing
    )


@click.command("hold")
@flag_option
@reason_option()
@json_option
@in_application
def hold_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Keep the exposure and refuse to advance."""
    change_rollout(flag, service.hold, as_json=as_json, reason=reason)


@click.command("resume")
@flag_option
@reason_option()
@json_option
@in_application
def resume_command(*, flag: str, reason: str, as_json: bool) -> None:
    """End a hold."""
    change_rollout(flag, service.resume, as_json=as_json, reason=reason)


@click.command("step-back")
@flag_option
@reason_option()
@json_option
@in_application
def step_back_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Go one step down; those added last leave first."""
    change_rollout(flag, service.step_back, as_json=as_json, versioned=True, reason=reason)


@click.command("rollback")
@flag_option
@reason_option()
@click.option("--everywhere", "in_all", is_flag=True, help="In development and staging too, which else keep it.")
@json_option
@in_application
def rollback_command(*, flag: str, reason: str, in_all: bool, as_json: bool) -> None:
    """Take the flag from everybody at once, until the rollout is re-armed."""

    def roll_back(session: Session) -> Rollout:
        change = ChangeContext(clock.now(), actor(), reason)
        decision = service.roll_back(session, flag, change, in_all=in_all)
        found = service.find(session, flag)
        return found if service.is_rolled_back(found, in_all=in_all) else accepted(decision)

    found = retry_while_locked(roll_back)
    echo_result(service.summary(found), line(found), as_json=as_json)


@click.command("rearm")
@flag_option
@reason_option()
@json_option
@in_application
def rearm_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Begin a new attempt at the lowest step, after the cool-down."""
    change_rollout(flag, service.rearm, as_json=as_json, versioned=True, reason=reason)


def add_commands(group: click.Group) -> None:
    """Add every command on rollouts to `group`."""
    for command in (
        status_command,
        advance_command,
        hold_command,
        resume_command,
        step_back_command,
        rollback_command,
        rearm_command,
        *flag_cli.COMMANDS,
    ):
        group.add_command(command)


def _gate_line(gate: GateResult) -> str:
    return f"  {gate.status:8} {gate.name}: {gate.reason}"
