"""`rollout flags check`."""

import sys

import click

from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import echo_result, in_application, json_option
from flags.administration.imports import refusals
from flags.administration.outdated_definitions import outdated_definitions
from flags.administration.queries import list_environments
from flags.cli.definitions import named

NONE = "SDKs read every stored flag alike."


@click.command("check")
@json_option
@in_application
def check_command(*, as_json: bool) -> None:
    """Name stored flags that SDKs may read differently, as an earlier release took them; exit code 1 where any is."""
    with read_only() as session:
        places = [str(each["name"]) for each in list_environments(session)]
        found = {place: refusals(outdated_definitions(session, place)) for place in places}
    listed = [{"environment": place, **each} for place, issues in found.items() for each in issues]
    lines = [f"{each['environment']}: {named(each)}" for each in listed]
    echo_result({"flags": listed}, "\n".join(lines) or NONE, as_json=as_json)
    if listed:
        sys.exit(1)
