"""`rollout flags`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.json_provider import MalformedJSON, loads
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from flags import store
from flags.administration.definitions import (
    create_flag,
    export_definitions,
    findings,
    import_definitions,
    switch_flag,
)

environment_option = click.option("--environment", default="production", show_default=True)


@click.group("flags")
def flags_group() -> None:
    """Flags without a rollout, per environment, and which of all flags are stale."""


@flags_group.command("list")
@json_option
@in_application
def list_command(*, as_json: bool) -> None:
    """Every flag without a rollout, and where it is on."""
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
        create_flag(session, name, environments, ChangeContext(datetime.now(UTC), actor()))
    echo_result({"name": name, "environments": environments}, f"{name} is made.", as_json=as_json)


@flags_group.command("switch")
@click.argument("name")
@click.argument("position", type=click.Choice(["on", "off"]))
@environment_option
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@in_application
def switch_command(*, name: str, position: str, environment: str, reason: str, as_json: bool) -> None:
    """Switch NAME on or off in one environment."""
    enabled = position == "on"
    with transaction() as session:
        switch_flag(session, name, environment, ChangeContext(datetime.now(UTC), actor(), reason), enabled=enabled)
    echo_result({"name": name, "enabled": enabled}, f"{name} is {position} in {environment}.", as_json=as_json)


@flags_group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@environment_option
@click.option("--replace", is_flag=True, help="Replace everything that is there instead of adding to it.")
@click.option("--reason", default="", help="Why; kept in the audit trail.")
@json_option
@in_application
def import_command(*, path: Path, environment: str, replace: bool, reason: str, as_json: bool) -> None:
    """Take features and segments as Unleash writes them."""
    try:
        raw = loads(path.read_bytes())
    except MalformedJSON as error:
        raise CommandFailed(f"{path} isn't valid JSON: {error}.") from error
    with transaction() as session:
        taken = import_definitions(
            session, environment, raw, ChangeContext(datetime.now(UTC), actor(), reason), replace=replace
        )
    repairs = findings(taken.repairs)
    lines = [f"{len(taken.features)} flags and {len(taken.segments)} segments imported."]
    lines += [f"  {repair['field']}: {repair['message']}" for repair in repairs]
    echo_result({"features": len(taken.features), "repairs": repairs}, "\n".join(lines), as_json=as_json)


@flags_group.command("export")
@environment_option
@in_application
def export_command(*, environment: str) -> None:
    """Print every flag without a rollout, as Unleash writes them."""
    with read_only() as session:
        document = export_definitions(session, environment)
    click.echo(json.dumps(document, indent=2))


def _state_text(*, enabled: bool) -> str:
    return "on" if enabled else "off"
