"""`rollout credits` `backfill`, `verify`, `backup`, `restore`, `restore-test`: the move to v2, and back from damage."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import settings
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.migration import backup
from credits_engine.migration.backfill import BackfillResult, backfill
from credits_engine.migration.backup import CopyError
from credits_engine.migration.restore import RestoreRefused, restore
from credits_engine.migration.restore_test import record, restore_test
from credits_engine.migration.retirement import BACKUP_SUBJECT
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
    for batch in backfill(now=datetime.now(UTC), batch_size=batch_size, after=after, dry_run=dry_run):
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
        found = verify(session, datetime.now(UTC))
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


@click.command("backup")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@in_application
def backup_command(*, path: Path, as_json: bool) -> None:
    """Write a consistent copy of the whole database to PATH while everything goes on."""
    _copied(backup.backup, path)
    size = path.stat().st_size
    with transaction() as session:
        audit.record(
            session,
            ChangeContext(datetime.now(UTC), actor(), "Asked for at a console."),
            action="credits.backup",
            subject=BACKUP_SUBJECT,
            before=None,
            after={"path": str(path), "bytes": size},
        )
    echo_result({"path": str(path), "bytes": size}, f"{path}: {size:,} bytes.", as_json=as_json)


@click.command("restore")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why; kept in the journal and in the audit trail.")
@json_option
@in_application
def restore_command(*, path: Path, reason: str, as_json: bool) -> None:
    """Replace the whole database by PATH, while consumption is stopped; then no rollout goes on by itself."""
    try:
        done = restore(
            path, folder=settings.current().instance_dir, clock=lambda: datetime.now(UTC), actor=actor(), reason=reason
        )
    except (RestoreRefused, CopyError) as error:
        raise CommandFailed(str(error)) from error
    carried = done.document["carried_over"]
    lines = [
        f"The database was replaced by {path}. Consumption stays stopped, and every rollout is rolled back until a",
        "person arms it again. Who may sign in, tokens, overrides and freezes are as they were before the restore.",
        f"{done.cut:,} audit entries are not in it; they are kept in {done.document['audit_kept_in']}.",
        *(f"Could not be read, so it is as in the backup: {name}." for name in carried["not_readable"]),
        *(f"Switched off, as it was before the restore: {name}." for name in carried["switched_off"]),
        "Next: rollout credits backfill, then verify; and rollout billing reconcile for what Stripe told meanwhile.",
    ]
    echo_result({"path": str(path), "frozen": True, **done.document}, "\n".join(lines), as_json=as_json)


@click.command("restore-test")
@json_option
@in_application
def drill_command(*, as_json: bool) -> None:
    """Test the recovery from corrupted data on a copy of the database. Exit code 1 if anything would be lost."""
    steps = []
    try:
        for step in restore_test(settings.current(), datetime.now(UTC)):
            steps.append(step)
            if not as_json:
                click.echo(f"  {'ok    ' if step.passed else 'FAILED'} {step.name}: {step.detail}")
    except CopyError as error:
        raise CommandFailed(str(error)) from error
    with transaction() as session:
        passed = record(session, steps, now=datetime.now(UTC), actor=actor())
    document = {"passed": passed, "steps": [asdict(step) for step in steps]}
    echo_result(document, "Nothing is lost." if passed else "Something is lost.", as_json=as_json)
    sys.exit(0 if passed else 1)


COMMANDS = (backfill_command, verify_command, backup_command, restore_command, drill_command)


def _print_batch(batch: list[BackfillResult], users: int, *, dry_run: bool) -> None:
    for each in batch:
        if each.error:
            click.echo(f"  {each.user_id}: {each.error}", err=True)
        elif dry_run and each.changed:
            click.echo(f"  {each.user_id}: {'opens a period, ' if each.opened else ''}carries over {each.carried}")
    click.echo(f"  … {users:,} users, up to {batch[-1].user_id}")


def _copied(copy: Callable[[str, Path], None], path: Path) -> None:
    try:
        copy(settings.current().database_url, path)
    except CopyError as error:
        raise CommandFailed(str(error)) from error
