"""`rollout users …`: what a person of the product may ask for."""

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from credits_engine.erasure import api, service
from credits_engine.migration import erasure_manifest


@click.group("users")
def users_group() -> None:
    """Do what users of the product may ask to be done with their data."""


@users_group.command("erase")
@click.argument("user_id", metavar="USER")
@click.option("--also", multiple=True, help="Another name of theirs to be searched for, such as an address.")
@reason_option("Why; kept in the audit trail, so without their name.")
@json_option
@in_application
def erase_command(*, user_id: str, also: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Make everything of USER that of a pseudonym, in every table. Nothing brings the name back."""
    try:
        done = service.erase(user_id, ChangeContext(clock.now(), actor(), reason), also=also)
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    lines = [f"Erased. {done.pseudonym} stands for them in {sum(done.rows.values()):,} places."]
    lines += [f"Still named, for its owner to remove: {each}" for each in done.still_named]
    lines += [f"Not done here: {each}" for each in service.OUTSIDE]
    echo_result(api.to_json(done), "\n".join(lines), as_json=as_json)


@users_group.command("erasures")
@json_option
@in_application
def erasures_command(*, as_json: bool) -> None:
    """List every erasure: when, by whom and why, and never who."""
    with read_only() as session:
        found = erasure_manifest.of_database(session)
    lines = [f"  {each.erased_at:%Y-%m-%dT%H:%M:%SZ}  {each.pseudonym}  {each.actor}  {each.reason}" for each in found]
    document = {"erasures": [api.noted_json(each) for each in found]}
    echo_result(document, "\n".join(lines) or "Nobody was erased.", as_json=as_json)
