"""`rollout flags versions` and `rollout flags restore`."""

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import actor, echo_result, in_application, json_option, reason_option
from flags.administration import flag_versions
from flags.administration.flag_versions import FlagVersion
from flags.api.versions import document


@click.command("versions")
@click.argument("name")
@json_option
@in_application
def versions_command(*, name: str, as_json: bool) -> None:
    """List every version of the flag NAME that the audit trail knows, the newest first."""
    with read_only() as session:
        found = flag_versions.versions(session, name)
    lines = [
        f"{each.entry:>7}  {each.at:%Y-%m-%d %H:%M}  {each.actor}  {_places(each)}  {each.reason}" for each in found
    ]
    documents = {"flag": name, "versions": [document(each) for each in found]}
    echo_result(documents, "\n".join(lines) or "The trail knows none.", as_json=as_json)


@click.command("restore")
@click.argument("name")
@click.argument("entry", type=click.IntRange(min=1))
@reason_option()
@json_option
@in_application
def restore_command(*, name: str, entry: int, reason: str, as_json: bool) -> None:
    """Make the version after the entry ENTRY of the audit trail the flag NAME again, in every environment."""
    with transaction() as session:
        state = flag_versions.restore(session, name, entry, ChangeContext(clock.now(), actor(), reason))
    places = {environment: bool(wire["enabled"]) for environment, wire in state.items()}
    text = f"{name} is as it was after entry {entry}, in {', '.join(places)}."
    echo_result({"flag": name, "environments": places}, text, as_json=as_json)


def _places(version: FlagVersion) -> str:
    if version.state is None:
        return "not in the trail"
    places = (f"{name} {'on' if wire['enabled'] else 'off'}" for name, wire in version.state.items())
    return ", ".join(places) or "removed"
