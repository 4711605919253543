"""`rollout` `backup`, `restore`, `restore-test`: the whole installation's database, and back from damage."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock, settings
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from credits_engine.migration import backups
from credits_engine.migration.backup import CopyError
from credits_engine.migration.restore import RestoreRefused, restore
from credits_engine.migration.restore_test import record, restore_test


@click.command("backup")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@in_application
def backup_command(*, path: Path, as_json: bool) -> None:
    """Write a consistent copy of the whole database to PATH while everything goes on."""
    try:
        size = backups.make(path, ChangeContext(clock.now(), actor(), "Asked for at a console."))
    except CopyError as error:
        raise CommandFailed(str(error)) from error
    echo_result({"path": str(path), "bytes": size}, f"{path}: {size:,} bytes.", as_json=as_json)


@click.command("restore")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@reason_option("Why; kept in the journal and in the audit trail.")
@json_option
@in_application
def restore_command(*, path: Path, reason: str, as_json: bool) -> None:
    """Replace the whole database by PATH, while consumption is stopped; then no rollout goes on by itself."""
    try:
        done = restore(path, folder=settings.current().instance_dir, clock=clock.now, actor=actor(), reason=reason)
    except (RestoreRefused, CopyError) as error:
        raise CommandFailed(str(error)) from error
    carried = done.document["carried_over"]
    lines = [
        f"The database was replaced by {path}. Consumption stays stopped, and every rollout is rolled back until a",
        "person arms it again. Who may sign in, tokens, overrides and freezes are as they were before the restore.",
        f"{done.cut:,} audit entries are not in it; they are kept in {done.document['audit_kept_in']}.",
        *(f"Could not be read, so it is as in the backup: {name}." for name in carried["not_readable"]),
        *(f"Switched off, as it was before the restore: {name}." for name in carried["switched_off"]),
        *(f"Defined as it was before the restore: {name}." for name in carried["redefined"]),
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
        for step in restore_test(settings.current(), clock.now()):
            steps.append(step)
            if not as_json:
                click.echo(f"  {'ok    ' if step.passed else 'FAILED'} {step.name}: {step.detail}")
    except CopyError as error:
        raise CommandFailed(str(error)) from error
    with transaction() as session:
        passed = record(session, steps, now=clock.now(), actor=actor())
    document = {"passed": passed, "steps": [asdict(step) for step in steps]}
    echo_result(document, "Nothing is lost." if passed else "Something is lost.", as_json=as_json)
    sys.exit(0 if passed else 1)


COMMANDS = (backup_command, restore_command, drill_command)
