"""`rollout directory`."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from control_plane.platform import clock
from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from flags.administration.users import UserChange, import_users
from flags.evaluation import timestamps

TRUE_VALUES = ("true", "1", "yes")
FALSE_VALUES = ("false", "0", "no", "")


@click.group("directory")
def users_group() -> None:
    """Look at the directory of the product's users, and import into it."""


@users_group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@in_application
def import_command(*, path: Path, as_json: bool) -> None:
    """Store the users of a CSV file with the columns user_id, plan, signed_up_at and beta, all or none.

    A column that is left out stays as it was for users who are known.
    """
    with path.open(newline="", encoding="utf-8-sig") as file, transaction() as session:
        rows = csv.DictReader(file)
        try:
            stored = import_users(session, _changes(rows), actor=actor(), now=clock.now())
        except (Problem, ValueError) as error:
            raise CommandFailed(f"Line {rows.line_num} can't be used: {error} Nothing was stored.") from error
    echo_result({"users": stored}, f"{stored} users stored.", as_json=as_json)


def _changes(rows: "csv.DictReader[str]") -> Iterator[UserChange]:
    for row in rows:
        yield UserChange(row.get("user_id") or "", _attributes(row))


def _attributes(row: dict[str, str]) -> dict[str, object]:
    attributes: dict[str, object] = {"plan": row["plan"]} if row.get("plan") else {}
    if "signed_up_at" in row:
        attributes["signed_up_at"] = _instant(row["signed_up_at"])
    if "beta" in row:
        attributes["beta"] = _switch(row["beta"])
    return attributes


def _instant(text: str) -> datetime | None:
    instant = timestamps.parse_timestamp(text) if text else None
    if text and instant is None:
        raise ValueError(f"signed_up_at is {text!r}; write an instant such as 2026-01-31T12:00:00Z.")
    return instant


def _switch(text: str) -> bool:
    if text.lower() not in TRUE_VALUES + FALSE_VALUES:
        raise ValueError(f"beta is {text!r}; write true or false.")
    return text.lower() in TRUE_VALUES
