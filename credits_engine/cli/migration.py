"""`rollout credits backfill` and `verify`: the move to v2."""

import sys

import click

from control_plane.platform import clock, settings
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import echo_result, in_application, json_option
from credits_engine.migration.backfill import BackfillResult, backfill
from credits_engine.reconciliation.verification import verify

PROGRESS = "backfill-progress"
LISTED = 20


@click.command("backfill")
@click.option("--dry-run", is_flag=True, help="Say what a run would do, and write nothing.")
@click.option("--batch-size", default=500, type=click.IntRange(1, 10_000), show_default=True, help="Users per commit.")
@click.option("--resume", is_flag=True, help="Go on after the last batch of a run that was stopped.")
@json_option
@in_application
def backfill_command(*, dry_run: bool, batch_size: int, resume: bool, as_json: bool) -> None:
    """Open v2's period for every user and carry over what legacy counted. Exit code 1 if anybody's failed."""
    progress = settings.current().instance_dir / PROGRESS
    after = progress.read_text(encoding="utf-8") if resume and progress.is_file() else ""
    users = opened = carried = 0
    errors: list[BackfillResult] = []
    for batch in backfill(now=clock.now(), batch_size=batch_size, after=after, dry_run=dry_run):
        users += len(batch)
        opened += sum(each.opened for each in batch)
        carried += sum(each.carried.total for each in batch)
        errors += [each for each in batch if each.error]
        if not dry_run:
            progress.write_text(batch[-1].user_id, encoding="utf-8")
        if not as_json:
            _print_batch(batch, users, dry_run=dry_run)
    if not dry_run:
        progress.unlink(missing_ok=True)
    would = "would be " if dry_run else ""
    done = f"{opened:,} periods {would}opened, {carried:,} credits {would}carried over"
    lines = f"{users:,} users: {done}, {len(errors)} errors."
    failed = [{"userId": each.user_id, "error": each.error} for each in errors]
    document = {"users": users, "opened": opened, "carried": carried, "errors": failed, "dryRun": dry_run}
    echo_result(document, lines, as_json=as_json)
    sys.exit(1 if errors else 0)


@click.command("verify")
@json_option
@in_application
def verify_command(*, as_json: bool) -> None:
    """Check every user's period, both books and the keys against the journal. Exit code 1 if anything is wrong."""
    with read_only() as session:
        found = verify(session, clock.now())
    lines = [
        f"{len(found.without_period):,} users without a running period, {len(found.overlapping)} with overlaps.",
        f"{found.books.checked:,} book rows checked, {found.books.found} differ from the journal.",
        f"{len(found.orphaned_keys):,} keys lead to no operation of their own.",
        *(f"  no period: {user_id}" for user_id in found.without_period[:LISTED]),
        *(f"  overlapping: {user_id}" for user_id in found.overlapping[:LISTED]),
        *(f"  key of {user_id}: {key}" for user_id, key in found.orphaned_keys[:LISTED]),
    ]
    document = {
        "withoutPeriod": found.without_period,
        "overlapping": found.overlapping,
        "checked": found.books.checked,
        "found": found.books.found,
        "keysAstray": found.orphaned_keys,
    }
    echo_result(document, "\n".join(lines), as_json=as_json)
    sys.exit(0 if found.intact else 1)


COMMANDS = (backfill_command, verify_command)


def _print_batch(batch: list[BackfillResult], users: int, *, dry_run: bool) -> None:
    for each in batch:
        if each.error:
            click.echo(f"  {each.user_id}: {each.error}", err=True)
        elif dry_run and each.changed:
            click.echo(f"  {each.user_id}: {'opens a period, ' if each.opened else ''}carries over {each.carried}")
    click.echo(f"  … {users:,} users, up to {batch[-1].user_id}")
