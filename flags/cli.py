"""`rollout explain` and `rollout users`."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import current_app

from control_plane.platform import announce
from control_plane.platform.console import CommandFailed, in_application, json_option, show
from control_plane.platform.database import reading, transaction
from control_plane.platform.settings import current
from flags import store
from flags.explanation import explain, words
from flags.snapshot import UnknownFlagError
from flags.store import UserAttributes

TRUE_WORDS = ("true", "1", "yes")


def register(group: click.Group) -> None:
    """Add this package's commands."""
    group.add_command(explain_command)
    group.add_command(users_group)


@click.command("explain")
@click.argument("flag")
@click.argument("user")
@click.option("--environment", help="Default: the environment of this installation.")
@json_option
@in_application
def explain_command(*, flag: str, user: str, environment: str | None, as_json: bool) -> None:
    """Why USER has FLAG or not: answer, reason, every rule that was asked, and what the next step would change."""
    snapshots = current_app.extensions["flag_snapshots"]
    with reading() as session:
        try:
            document = explain(
                session, snapshots, current(), flag, user, now=datetime.now(UTC), environment=environment
            )
        except UnknownFlagError as error:
            raise CommandFailed(str(error)) from error
    show(document, words(document), as_json=as_json)


@click.group("users")
def users_group() -> None:
    """The directory of the product's users."""


@users_group.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@in_application
def import_command(*, path: Path, as_json: bool) -> None:
    """Store the users of a CSV file with the columns user_id, plan, signed_up_at and beta."""
    now = datetime.now(UTC)
    with path.open(newline="", encoding="utf-8") as file, transaction() as session:
        stored = store.upsert_users(session, _users(csv.DictReader(file)), now=now)
        announce.publish(session, "directory", str(path.name), now=now)
    show({"users": stored}, f"{stored} users stored.", as_json=as_json)


def _users(rows: "csv.DictReader[str]") -> Iterator[UserAttributes]:
    for row in rows:
        try:
            signed_up_at = datetime.fromisoformat(row["signed_up_at"]) if row.get("signed_up_at") else None
            if signed_up_at and signed_up_at.tzinfo is None:
                signed_up_at = signed_up_at.replace(tzinfo=UTC)
            beta = (row.get("beta") or "").lower() in TRUE_WORDS
            yield UserAttributes(row["user_id"], row["plan"], signed_up_at, beta)
        except (KeyError, ValueError) as error:
            raise CommandFailed(f"Line {rows.line_num} can't be used: {error}. Nothing was stored.") from error
