"""`rollout explain`."""

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app

from control_plane.platform.console import CommandFailed, in_application, json_option, show
from control_plane.platform.database import reading
from control_plane.platform.settings import current
from flags.explanation import explain, words
from flags.snapshot import UnknownFlagError

COLUMNS = ("userId", "value", "reason", "phase", "bucket", "entersAt", "detail", "next")


@click.command("explain")
@click.argument("flag")
@click.argument("user", required=False)
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with a column user_id; prints a CSV with a line for each.",
)
@click.option("--environment", help="Default: the environment of this installation.")
@json_option
@in_application
def explain_command(*, flag: str, user: str | None, path: Path | None, environment: str | None, as_json: bool) -> None:
    """Why USER has FLAG or not: answer, reason, every rule that was asked, and what the next step would change."""
    if (user is None) == (path is None):
        raise CommandFailed("Name one user, or a file of them with --file.")
    try:
        if user is not None:
            [document] = _explained(flag, [user], environment)
            show(document, words(document), as_json=as_json)
        elif path is not None:
            _write(_explained(flag, _user_ids(path), environment))
    except UnknownFlagError as error:
        raise CommandFailed(str(error)) from error


def _explained(flag: str, user_ids: list[str], environment: str | None) -> Iterator[dict[str, Any]]:
    snapshots, now = current_app.extensions["flag_snapshots"], datetime.now(UTC)
    with reading() as session:
        for user_id in user_ids:
            yield explain(session, snapshots, current(), flag, user_id, now=now, environment=environment)


def _user_ids(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "user_id" not in (rows.fieldnames or ()):
            raise CommandFailed(f"{path} has no column user_id; its first line must name one.")
        return [row["user_id"] for row in rows if row["user_id"]]


def _write(documents: Iterator[dict[str, Any]]) -> None:
    table = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for document in documents:
        enters = f"{document['entersAt']['percentage']} % of {document['entersAt']['audience']}"
        table.writerow({**document, "entersAt": enters, "next": document["next"]["sentence"]})
