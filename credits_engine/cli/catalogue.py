"""`rollout credits catalogue …`: plans and their limits as a file, previewed and applied."""

from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.administration import plan_catalogue
from credits_engine.administration.plan_catalogue import CatalogueDifference
from credits_engine.api.catalogue import difference_document

file_argument = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("catalogue")
def catalogue_group() -> None:
    """Plans of credits and their limits, besides and in place of the built-in ones."""


@catalogue_group.command("export")
@in_application
def export_command() -> None:
    """Print every version of a plan that was added, as YAML that can be applied again."""
    with read_only() as session:
        click.echo(plan_catalogue.exported(session), nl=False)


@catalogue_group.command("diff")
@file_argument
@json_option
@in_application
def diff_command(*, path: Path, as_json: bool) -> None:
    """Say what applying FILE would add, and whom of the last 30 days it would have refused."""
    try:
        with read_only() as session:
            document = plan_catalogue.parsed(path.read_text(encoding="utf-8"))
            found = plan_catalogue.difference(session, document, clock.now())
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(difference_document(found), "\n".join(_lines(found)), as_json=as_json)


@catalogue_group.command("apply")
@file_argument
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@in_application
def apply_command(*, path: Path, reason: str, as_json: bool) -> None:
    """Add the versions of FILE that are new. Periods that run keep their limits; servers follow within seconds."""
    try:
        with transaction() as session:
            document = plan_catalogue.parsed(path.read_text(encoding="utf-8"))
            found = plan_catalogue.apply(session, document, ChangeContext(clock.now(), actor(), reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(difference_document(found), "\n".join(_lines(found)), as_json=as_json)


def _lines(found: CatalogueDifference) -> list[str]:
    lines = [f"{len(found.added)} new."]
    for each in found.added:
        refused = found.refusals[each.plan]
        months = "" if each.above else f", legacy's months from {each.legacy_starts_at:%Y-%m-%d}"
        lines.append(
            f"  {each.plan} from {each.starts_at:%Y-%m-%dT%H:%M:%SZ}{months}; of the last 30 days it would have "
            f"refused {refused.operations:,} operations of {refused.users:,} users."
        )
        lines += [f"    {user_id}" for user_id in refused.first_users]
    return lines
