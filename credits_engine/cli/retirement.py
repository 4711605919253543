"""`rollout credits retire-legacy`: the guide's month 3."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.migration import retirement
from credits_engine.migration.retirement import Check, RetirementRefused


@click.command("retire-legacy")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what stands against it; change nothing.")
@click.option("--undo", is_flag=True, help="Ask legacy again beside v2. Possible until its book is archived.")
@click.option("--archive", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write its book to a file.")
@click.option("--reason", help="Why; kept in the audit trail.")
@json_option
@in_application
def retire_command(*, dry_run: bool, undo: bool, path: Path | None, reason: str | None, as_json: bool) -> None:
    """Stop running legacy beside v2, bring it back, or archive its book. Its book is still kept: a rollback works."""
    if sum((dry_run, undo, path is not None)) > 1:
        raise CommandFailed("--dry-run, --undo and --archive exclude each other.")
    if not dry_run and not (reason or "").strip():
        raise CommandFailed("Say why: --reason …")
    now, lines = clock.now(), reason or ""
    try:
        if dry_run:
            _dry_run(now, as_json=as_json)
        elif undo:
            with transaction() as session:
                retirement.reinstate(session, now=now, actor=actor(), reason=lines)
            echo_result({"retired": False}, "Legacy runs beside v2 again.", as_json=as_json)
        elif path is not None:
            _archive(path, now, lines, as_json=as_json)
        else:
            with transaction() as session:
                found = retirement.retire(session, now=now, actor=actor(), reason=lines)
            done = "Legacy is retired: it is not asked any more. Its book goes on, so a rollback still works."
            echo_result({"retired": True, "checks": _documents(found)}, done, as_json=as_json)
    except RetirementRefused as error:
        raise CommandFailed(str(error)) from error


COMMANDS = (retire_command,)


def _dry_run(now: datetime, *, as_json: bool) -> None:
    with read_only() as session:
        found = retirement.checks(session, now)
    ready = all(check.passed for check in found)
    lines = [f"  {'ok ' if check.passed else 'NO '} {check.name}: {check.detail}" for check in found]
    lines.append("Legacy would be retired." if ready else "Legacy would not be retired.")
    echo_result({"wouldRetire": ready, "checks": _documents(found)}, "\n".join(lines), as_json=as_json)
    click.get_current_context().exit(0 if ready else 1)


def _archive(path: Path, now: datetime, reason: str, *, as_json: bool) -> None:
    with transaction() as session:
        rows = retirement.archive(session, path, now=now, actor=actor(), reason=reason)
    lines = [
        f"{path}: {rows:,} rows. What the next release may leave out:",
        *(f"  - {each}" for each in retirement.REMOVE),
    ]
    echo_result({"path": str(path), "rows": rows, "remove": retirement.REMOVE}, "\n".join(lines), as_json=as_json)


def _documents(found: list[Check]) -> list[dict[str, object]]:
    return [asdict(check) for check in found]
