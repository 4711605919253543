"""`rollout explain`."""

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import CommandFailed, echo_result, in_application, json_option
from control_plane.platform.settings import current
from flags.evaluation.contexts import SIGNUP_DATE
from flags.explanation import entry, explainer, to_text
from flags.snapshot import SNAPSHOTS, UnknownFlagError

COLUMNS = ("userId", "value", "reason", "phase", "bucket", "entersAt", "detail", "next")
NAMES = {"signed_up_at": SIGNUP_DATE}
"""Columns that `rollout directory import` calls otherwise than flags do."""

User = tuple[str, dict[str, str]]


@click.command("explain")
@click.argument("flag")
@click.argument("user", required=False)
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with a column user_id; every other column is an attribute. Prints a CSV with a line for each.",
)
@click.option("--environment", help="Default: the environment of this installation.")
@json_option
@in_application
def explain_command(*, flag: str, user: str | None, path: Path | None, environment: str | None, as_json: bool) -> None:
    """Say why USER has FLAG or not: answer, reason, every rule checked, and what the next step would change."""
    if (user is None) == (path is None):
        raise CommandFailed("Name one user, or a file of them with --file.")
    try:
        if user is not None:
            [document] = _explanation(flag, [(user, {})], environment)
            echo_result(document, to_text(document), as_json=as_json)
        elif path is not None:
            _write(_explanation(flag, _users(path), environment))
    except UnknownFlagError as error:
        raise CommandFailed(str(error)) from error


def _explanation(flag: str, users: Iterable[User], environment: str | None) -> Iterator[dict[str, object]]:
    environment = environment or current().environment
    with read_only() as session:
        explain = explainer(session, SNAPSHOTS.get(), flag, environment=environment, now=clock.now())
        for user_id, attributes in users:
            yield explain(user_id, attributes)


def _users(path: Path) -> list[User]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "user_id" not in (rows.fieldnames or ()):
            raise CommandFailed(f"{path} has no column user_id; its first line must name one.")
        return [(row["user_id"], _attributes(row)) for row in rows if row["user_id"]]


def _attributes(row: dict[str, str]) -> dict[str, str]:
    """Return the other columns by the names that flags know; an empty cell says nothing."""
    named = {NAMES.get(name, name): text for name, text in row.items() if name != "user_id" and isinstance(text, str)}
    return {name: text for name, text in named.items() if text}


def _write(documents: Iterator[dict[str, Any]]) -> None:
    table = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for document in documents:
        table.writerow({**document, "entersAt": entry(**document["entersAt"]), "next": document["next"]["sentence"]})
