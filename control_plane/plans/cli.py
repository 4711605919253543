"""`rollout plan`: shown and made as before, and as a file: applied, compared, exported, kept in versions."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists.guide import guide_plan
from control_plane.core.phases import Plan, Rollout
from control_plane.core.transitions import Reason
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration, document
from control_plane.plans.document import InvalidPlan, PlanDocument
from control_plane.plans.previews import EnvironmentChange, PlanPreview, preview
from control_plane.plans.templates import TEMPLATES, for_environment
from control_plane.platform import clock
from control_plane.platform.db import database
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from control_plane.rollout_names import environment_of, rollout_title
from control_plane.rollouts import store
from control_plane.rollouts.cli_options import accepted, confirm_losing_option, flag_option, line
from control_plane.rollouts.segments import segment_notices, segments

file_argument = click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
named_flag_option = click.option("--flag", default=None, help="The flag, where the file names none.")
FIRST_REASON = "Planned."


@click.group("plan", invoke_without_command=True)
@flag_option
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A plan as YAML.")
@click.option("--new-signups-after", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="Default: now. UTC.")
@confirm_losing_option
@json_option
@click.pass_context
def plan_group(context: click.Context, /, **options: object) -> None:
    """Show the plan of a rollout, or make the rollout if there is none: the guide's four phases, or FILE's."""
    if context.invoked_subcommand is None:
        _show(**options)


@in_application
def _show(
    *, flag: str, path: Path | None, new_signups_after: datetime | None, confirm_losing: bool, as_json: bool
) -> None:
    now = clock.now()
    with database.transaction() as session:
        found = store.load(session, flag)
        if found is None:
            flag, wanted = _wanted(session, flag, path, (new_signups_after or now).replace(tzinfo=UTC))
            change = ChangeContext(now, actor(), FIRST_REASON)
            found = accepted(rollouts.plan(session, flag, wanted, change, confirm_losing=confirm_losing))
    lines = [line(found)] + [f"  {p.name:14} {p.title}: {', '.join(map(str, p.steps))} %" for p in found.plan.phases]
    echo_result(rollouts.summary(found) | {"plan": store.plan_to_json(found.plan)}, "\n".join(lines), as_json=as_json)


@plan_group.command("apply")
@file_argument
@named_flag_option
@click.option("--reason", default="", help="Why; kept in the audit trail. Needed to change a plan.")
@click.option("--dry-run", is_flag=True, help="Only say what would change, and who would gain and lose.")
@confirm_losing_option
@json_option
@in_application
def apply_command(
    *, path: Path, flag: str | None, reason: str, dry_run: bool, confirm_losing: bool, as_json: bool
) -> None:
    """Make the rollout that the file PATH describes, or change its plan to that; nobody is exposed by a change."""
    if dry_run:
        _print_preview(path, flag, as_json=as_json)
        return
    with database.read_only() as session:
        name, plan = _read_for(session, path, flag)
    change = ChangeContext(clock.now(), actor(), reason)
    with database.transaction() as session:
        before = store.load(session, name)
        found = _applied(session, name, plan, change, before=before, confirm=confirm_losing)
    did = "made" if before is None else "unchanged" if found.version == before.version else "changed"
    text = f"{line(found)}\nThe plan is {did}; it is version {found.plan_version}."
    echo_result(rollouts.summary(found) | {"plan": did, "plan_version": found.plan_version}, text, as_json=as_json)


@plan_group.command("diff")
@file_argument
@named_flag_option
@json_option
@in_application
def diff_command(*, path: Path, flag: str | None, as_json: bool) -> None:
    """Print what the file PATH changes in the plan, line by line."""
    with database.read_only() as session:
        name, plan = _read_for(session, path, flag)
        before = store.load(session, name)
        notices = [each.sentence for each in segment_notices(session, before.plan)] if before else []
    lines = document.diff(before.plan if before else None, plan)
    text = "\n".join([*lines, *notices]) or "Nothing differs."
    echo_result({"diff": lines, "segment_notices": notices}, text, as_json=as_json)


@plan_group.command("export")
@flag_option
@click.option("--version", "number", type=ROW_ID, default=None, help="An earlier plan; default: today's.")
@click.option("--without-segments", is_flag=True, help="With the conditions in the place of the segments' names.")
@json_option
@in_application
def export_command(*, flag: str, number: int | None, without_segments: bool, as_json: bool) -> None:
    """Print the plan as the file that `rollout plan apply` takes."""
    with database.read_only() as session:
        plan = administration.version(session, flag, number).plan if number else rollouts.find(session, flag).plan
    plan = document.without_segments(plan) if without_segments else plan
    echo_result(document.to_value(plan, flag), document.to_yaml(plan, flag).rstrip(), as_json=as_json)


@plan_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of such a file, for editors."""
    click.echo(json.dumps(document.schema(), indent=2))


@plan_group.command("template")
@click.argument("name", required=False)
@click.option("--flag", default="MY_FLAG", show_default=True, help="The flag to put into it, or FLAG@ENVIRONMENT.")
def template_command(*, name: str | None, flag: str) -> None:
    """Print the template NAME as a file to be changed and applied, or the names of all."""
    if name is None:
        for each, template in TEMPLATES.items():
            click.echo(f"{each:22} {template.description}")
        return
    if name not in TEMPLATES:
        raise CommandFailed(f"There is no template {name!r}; there are {', '.join(TEMPLATES)}.")
    made, environment = TEMPLATES[name].make(clock.now().replace(microsecond=0)), environment_of(flag)
    click.echo(document.to_yaml(for_environment(made, environment) if environment else made, flag), nl=False)


@plan_group.command("versions")
@flag_option
@json_option
@in_application
def versions_command(*, flag: str, as_json: bool) -> None:
    """List every plan that the rollout has had, who made it and why, the newest first."""
    with database.read_only() as session:
        rollouts.find(session, flag)
        found = store.plan_versions(session, flag)
    rows = [{"number": each.number, "at": each.at, "actor": each.actor, "reason": each.reason} for each in found]
    lines = [f"  {each.number:4} {each.at:%Y-%m-%d %H:%M} UTC  {each.actor}: {each.reason}" for each in found]
    echo_result({"versions": rows}, "\n".join(lines), as_json=as_json)


@plan_group.command("restore")
@click.argument("number", type=ROW_ID)
@flag_option
@reason_option()
@confirm_losing_option
@json_option
@in_application
def restore_command(*, number: int, flag: str, reason: str, confirm_losing: bool, as_json: bool) -> None:
    """Make the plan of version NUMBER the plan again, as a new version."""
    with database.transaction() as session:
        found = accepted(
            administration.restore(
                session,
                flag,
                number,
                ChangeContext(clock.now(), actor(), reason),
                expected_version=rollouts.find(session, flag).version,
                confirm_losing=confirm_losing,
            )
        )
    echo_result(rollouts.summary(found) | {"plan_version": found.plan_version}, line(found), as_json=as_json)


def _read(session: Session, path: Path, flag: str | None) -> PlanDocument:
    try:
        return document.parse(path.read_text(encoding="utf-8"), flag, partial(segments, session))
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path} is no text in UTF-8.") from error
    except InvalidPlan as invalid:
        mistakes = "\n".join(f"  {mistake}" for mistake in invalid.mistakes)
        raise CommandFailed(f"{path} is no plan:\n{mistakes}") from invalid


def _wanted(session: Session, name: str, path: Path | None, new_signups_after: datetime) -> tuple[str, Plan]:
    """Return the rollout to make and its plan: the file's, else the guide's."""
    if path is not None:
        return document.of_rollout(name, _read(session, path, name).plan)
    environment, plan = environment_of(name), guide_plan(new_signups_after)
    return name, for_environment(plan, environment) if environment else plan


def _read_for(session: Session, path: Path, flag: str | None) -> tuple[str, Plan]:
    """Return the rollout that is meant, and its plan: to take another one than is written there would be a mistake."""
    read = _read(session, path, flag)
    if found := flag or read.flag:
        name, plan = document.of_rollout(found, read.plan)
        written = document.of_rollout(read.flag or name, plan)[0]
        if written != name:
            raise CommandFailed(f"The file is for {written}, not for {name}.")
        return name, plan
    raise CommandFailed(f"Say which flag it is for: `flag: NAME` in the file, or --flag (such as {FLAG}).")


def _applied(
    session: Session, flag: str, plan: Plan, change: ChangeContext, *, before: Rollout | None, confirm: bool
) -> Rollout:
    if before is None:
        made = ChangeContext(change.now, change.actor, change.reason or FIRST_REASON)
        return accepted(rollouts.plan(session, flag, plan, made, confirm_losing=confirm))
    decision = administration.edit(session, flag, plan, change, expected_version=before.version, confirm_losing=confirm)
    return accepted(decision)


def _print_preview(path: Path, flag: str | None, *, as_json: bool) -> None:
    now = clock.now()
    with database.read_only() as session:
        name, plan = _read_for(session, path, flag)
        before = store.load(session, name)
        reasons = administration.refusals(session, name, plan, ChangeContext(now, actor(), "A dry run."))
        found = preview(session, name, before, plan, now)
    answer = administration.preview_document(name, before, plan, found, reasons)
    echo_result(answer, "\n".join(_preview_lines(found, reasons)), as_json=as_json)


def _preview_lines(found: PlanPreview, reasons: tuple[Reason, ...]) -> list[str]:
    after = found.after
    lines = [f"{rollout_title(after.flag)} would stand at {after.phase.title}, {after.percentage} %."]
    lines += ["At once:", *_change_lines(found.now), "At its last step, against that of today's plan:"]
    lines += _change_lines(found.complete)
    return lines + [f"Refused: {reason.sentence}" for reason in reasons]


def _change_lines(changes: list[EnvironmentChange]) -> list[str]:
    if not changes:
        return ["  Nobody gains or loses."]
    return [
        f"  {each.environment}: {each.users_gaining:,} known users gain, {each.users_losing:,} lose. "
        f"{' '.join((*each.gains, *each.losses))}"
        for each in changes
    ]
