"""`rollout flags`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.json_provider import MalformedJSON, loads
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from flags import store
from flags.administration.definitions import (
    create_flag,
    export_definitions,
    switch_flag,
)
from flags.administration.edits import DECIDING, edit_definition
from flags.administration.imports import ImportOptions, import_definitions, refusals, repairs
from flags.administration.queries import flag_detail

environment_option = click.option("--environment", default="production", show_default=True)


@click.group("flags")
def flags_group() -> None:
    """Look at flags without a rollout and change them, and list which of all flags are stale."""


@flags_group.command("list")
@json_option
@in_application
def list_command(*, as_json: bool) -> None:
    """List every flag without a rollout, and where it is on."""
    with read_only() as session:
        found = store.switches(session)
    lines = [
        f"{name:40} {', '.join(f'{place} {_state_text(enabled=on)}' for place, on in places.items())}"
        for name, places in found.items()
    ]
    echo_result(dict(found), "\n".join(lines) or "There are none.", as_json=as_json)


@flags_group.command("create")
@click.argument("name")
@click.option("--on", "switched_on", multiple=True, help="An environment where it is on; repeatable.")
@click.option("--off", "switched_off", multiple=True, help="An environment where it is off; repeatable.")
@json_option
@in_application
def create_command(*, name: str, switched_on: tuple[str, ...], switched_off: tuple[str, ...], as_json: bool) -> None:
    """Make a flag called NAME that is on or off for everybody."""
    environments = dict.fromkeys(switched_on, True) | dict.fromkeys(switched_off, False)
    if not environments:
        raise CommandFailed("Name an environment with --on or --off.")
    with transaction() as session:
        create_flag(session, name, environments, ChangeContext(clock.now(), actor()))
    echo_result({"name": name, "environments": environments}, f"{name} is made.", as_json=as_json)


@flags_group.command("switch")
@click.argument("name")
@click.argument("position", type=click.Choice(["on", "off"]))
@environment_option
@reason_option()
@json_option
@in_application
def switch_command(*, name: str, position: str, environment: str, reason: str, as_json: bool) -> None:
    """Switch NAME on or off in one environment."""
    enabled = position == "on"
    with transaction() as session:
        switch_flag(session, name, environment, ChangeContext(clock.now(), actor(), reason), enabled=enabled)
    echo_result({"name": name, "enabled": enabled}, f"{name} is {position} in {environment}.", as_json=as_json)


@flags_group.command("show")
@click.argument("name")
@in_application
def show_command(*, name: str) -> None:
    """Print everything that decides who has NAME, in each environment, with the versions that an edit names."""
    with read_only() as session:
        click.echo(json.dumps(flag_detail(session, name), indent=2))


@flags_group.command("edit")
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@environment_option
@click.option("--version", type=click.IntRange(0), required=True, help="As `show` has it; 0 adds it there.")
@click.option("--confirm-moving", is_flag=True, help="Take an edit whose repair moves users.")
@reason_option()
@json_option
@in_application
def edit_command(
    *, name: str, path: Path, environment: str, version: int, confirm_moving: bool, reason: str, as_json: bool
) -> None:
    """Change NAME in one environment by PATH: `enabled`, `strategies`, `variants`, `dependencies`; the rest stays."""
    fields = _load_json(path)
    if not isinstance(fields, dict) or fields.keys() - {*DECIDING}:
        raise CommandFailed(f"{path} needs an object with some of {', '.join(DECIDING)}, and nothing else.")
    with transaction() as session:
        repairs = edit_definition(
            session,
            name,
            environment,
            fields,
            ChangeContext(clock.now(), actor(), reason),
            version=version,
            confirm_moving=confirm_moving,
        )
        found = flag_detail(session, name)["environments"][environment]
    lines = [f"{name} is at version {found['version']} in {environment}."]
    lines += [f"  {repair['field']}: {repair['message']}" for repair in repairs]
    echo_result(found | {"repairs": repairs}, "\n".join(lines), as_json=as_json)


@flags_group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@environment_option
@click.option("--replace", is_flag=True, help="Replace everything that is there instead of adding to it.")
@click.option("--all-or-nothing", is_flag=True, help="Take nothing where anything is refused; --replace does so too.")
@click.option("--confirm-moving", is_flag=True, help="Take flags whose repair moves users.")
@click.option("--reason", default="", help="Why; kept in the audit trail.")
@json_option
@in_application
def import_command(
    *,
    path: Path,
    environment: str,
    replace: bool,
    all_or_nothing: bool,
    confirm_moving: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Take features and segments as Unleash writes or exports them; exit code 1 where any is refused."""
    raw = _load_json(path)
    with transaction() as session:
        taken = import_definitions(
            session,
            environment,
            raw,
            ChangeContext(clock.now(), actor(), reason),
            ImportOptions(replace=replace, all_or_nothing=all_or_nothing, confirm_moving=confirm_moving),
        )
    repaired, refused = repairs(taken.repairs), refusals(taken.refusals)
    lines = [f"{len(taken.features)} flags and {len(taken.segments)} segments imported."]
    lines += [f"  {named(each)}" for each in repaired]
    lines += [f"  not taken: {named(each)}" for each in refused]
    document = {"features": len(taken.features), "repairs": repaired, "refused": refused}
    echo_result(document, "\n".join(lines), as_json=as_json)
    if refused:
        sys.exit(1)


@flags_group.command("export")
@environment_option
@in_application
def export_command(*, environment: str) -> None:
    """Print every flag without a rollout, as Unleash writes them."""
    with read_only() as session:
        document = export_definitions(session, environment)
    click.echo(json.dumps(document, indent=2))


def named(issue: Mapping[str, str]) -> str:
    """Return an issue by the name of its flag, with the place in it: an export has none of the places in the file."""
    place = issue["field"].partition(".")[2] if issue["field"].startswith(("features[", "segments[")) else ""
    return ": ".join(filter(None, (issue["flag"] or issue["field"], place, issue["message"])))


def _load_json(path: Path) -> object:
    try:
        return loads(path.read_bytes())
    except MalformedJSON as error:
        raise CommandFailed(f"{path} isn't valid JSON: {error}.") from error


def _state_text(*, enabled: bool) -> str:
    return "on" if enabled else "off"
