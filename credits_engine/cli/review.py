"""`rollout credits switch-preview` and `aa-test`: what to look at before the flag moves."""

import csv
import sys
from pathlib import Path

import click

from control_plane.platform import clock, private_files
from control_plane.platform.csv_cells import plain
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import echo_result, in_application, json_option
from credits_engine.api import review
from credits_engine.api.requests import AMOUNT_MAX
from credits_engine.engines.switch_preview import SwitchSummary
from credits_engine.migration.aa_test import OPERATIONS_DEFAULT, run_aa_test
from credits_engine.migration.switch_preview import preview

LISTED = 20


@click.command("switch-preview")
@click.option("--amount", default=1, type=click.IntRange(1, AMOUNT_MAX), help="Credits of the next operation.")
@click.option("--csv", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write everybody to this file.")
@json_option
@in_application
def preview_command(*, amount: int, path: Path | None, as_json: bool) -> None:
    """List who would be refused, or granted, the next operation if the other engine decided now."""
    with read_only() as session:
        found = preview(session, "", now=clock.now(), amount=amount, most=sys.maxsize)
    rows = review.sheet_rows(found)
    if path is not None:
        private_files.make_private(path)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([review.SHEET_COLUMNS, *([plain(cell) for cell in row] for row in rows)])
    lines = [_sentence(found.summary)]
    lines += [f"  {user_id} ({plan}, {kind}): {reason}" for user_id, plan, kind, *_, reason in rows[:LISTED]]
    lines += [f"… and {len(rows) - LISTED:,} more; --csv writes them all."] if len(rows) > LISTED else []
    document = review.preview_document(found) | {"flips": len(rows)}
    echo_result(document, "\n".join(lines), as_json=as_json)


@click.command("aa-test")
@click.option("--operations", default=OPERATIONS_DEFAULT, type=click.IntRange(1), show_default=True)
@json_option
@in_application
def aa_test_command(*, operations: int, as_json: bool) -> None:
    """Judge the latest operations again, legacy against legacy too. Exit code 1 if there are none or one differs."""
    with read_only() as session:
        found = run_aa_test(session, most=operations)
    document = {
        "passed": found.passed,
        "operations": found.operations,
        "mismatches": found.mismatches,
        "unlike": found.unlike,
    }
    lines = (
        f"{found.operations:,} operations judged again: {len(found.mismatches):,} mismatches of legacy with itself, "
        f"{len(found.unlike):,} answers that differ from the journal."
    )
    echo_result(document, lines, as_json=as_json)
    sys.exit(0 if found.passed else 1)


COMMANDS = (preview_command, aa_test_command)


def _sentence(summary: SwitchSummary) -> str:
    refused, granted = (
        ", ".join(f"{count:,} on {plan}" for plan, count in sorted(side.items())) or "nobody"
        for side in (summary.refused, summary.granted)
    )
    return f"{summary.users:,} users. Would be refused: {refused}. Would be granted: {granted}."
