"""`rollout db check-distribution` and `distribute`: the credits on several databases, and what stands against it."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from sqlalchemy import Inspector, inspect

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db import direct
from control_plane.platform.db.database import db, read_only
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.administration.distribution import DistributionError, distribute
from credits_engine.distribution import citus as citus_core
from credits_engine.distribution.statements import Judgement, Reach, judge
from credits_engine.distribution.tables import DISTRIBUTED, Kind, Placement, TableKeys, placements
from credits_engine.store import citus

SHOWN = 100


@click.command("check-distribution")
@click.option(
    "--statements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Statements to judge, each ended by a semicolon at the end of a line.",
)
@json_option
@in_application
def check_distribution_command(*, statements: Path | None, as_json: bool) -> None:
    """Say how tables would lie on several databases, and what statements would cross. Exit code 1 if any can't."""
    placed, judgements = sorted(_placements(), key=lambda each: (each.kind, each.table)), _judgements(statements)
    lines = [*map(_line, placed), *(f"{found.reach:12} {_short(text)}  {found.reason}" for text, found in judgements)]
    document = {
        "tables": [
            {"table": each.table, "kind": each.kind, "column": each.column, "reasons": each.reasons} for each in placed
        ],
        "statements": [{"statement": text, "reach": found.reach, "reason": found.reason} for text, found in judgements],
    }
    echo_result(document, "\n".join(lines), as_json=as_json)
    is_bad = any(each.reasons for each in placed) or any(found.reach is Reach.CROSSES for _, found in judgements)
    sys.exit(1 if is_bad else 0)


@click.command("distribute")
@click.option("--dry-run", is_flag=True, help="Print the statements that are left, and execute none.")
@click.option(
    "--statements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refuse where one of these statements would cross accounts, each ended by a semicolon at the end of a line.",
)
@in_application
def distribute_command(*, dry_run: bool, statements: Path | None) -> None:
    """Spread the tables of credits and billing over the workers of a PostgreSQL with Citus, by account.

    Stop all servers first: the tables are locked while their rows are moved. Whatever was done already is left out.
    """
    if db.engine.dialect.name != "postgresql":
        raise CommandFailed("Only a PostgreSQL with Citus can be spread over several databases; this is SQLite.")
    placed = _placements()
    _check_distributable(placed, _judgements(statements))
    with direct.connection() as connection:
        left = citus_core.statements(placed, citus.state(connection))
        if dry_run:
            click.echo("".join(f"{statement};\n" for statement in left), nl=False)
            return
        if not citus.is_installed(connection):
            raise CommandFailed("Citus is not installed in this database; CREATE EXTENSION citus, and add its workers.")
        try:
            distribute(connection, left, ChangeContext(clock.now(), actor(), "Spread over the workers of Citus."))
        except DistributionError as error:
            raise CommandFailed(str(error)) from error
    click.echo(f"{sum(each.kind is not Kind.LOCAL for each in placed)} tables are spread or copied to every worker.")


def _check_distributable(placed: Iterable[Placement], judgements: Iterable[tuple[str, Judgement]]) -> None:
    reasons = [f"{each.table}: {'; '.join(each.reasons)}" for each in placed if each.reasons]
    reasons += [f"{_short(text)}: {found.reason}" for text, found in judgements if found.reach is Reach.CROSSES]
    if reasons:
        raise CommandFailed("\n".join(["This stands against spreading the database:", *reasons]))


def _placements() -> list[Placement]:
    with read_only() as session:
        found = inspect(session.connection())
        tables = [
            TableKeys(
                name,
                frozenset(column["name"] for column in found.get_columns(name)),
                _keys(found, name),
            )
            for name in found.get_table_names()
        ]
    return list(placements(tables))


def _keys(found: Inspector, table: str) -> list[list[str]]:
    """Return the columns of each key of a table; an index without a constraint is one too."""
    keys: list[Sequence[str | None]] = [found.get_pk_constraint(table)["constrained_columns"]]
    keys += [each["column_names"] for each in found.get_unique_constraints(table)]
    keys += [each["column_names"] for each in found.get_indexes(table) if each["unique"]]
    return [list(each) for each in dict.fromkeys(tuple(name or "an expression" for name in key) for key in keys)]


def _judgements(path: Path | None) -> list[tuple[str, Judgement]]:
    if path is None:
        return []
    try:
        texts = [text.strip() for text in path.read_text(encoding="utf-8").split(";\n")]
        return [(text, judge(text, DISTRIBUTED)) for text in texts if text]
    except ModuleNotFoundError as error:
        sentence = "Statements are read by sqlglot: pip install 'rollout-control-plane[distribution]'."
        raise CommandFailed(sentence) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from error


def _line(placed: Placement) -> str:
    place = f"{placed.kind} by {placed.column}" if placed.column else str(placed.kind)
    return f"{'NO  ' if placed.reasons else 'ok  '} {placed.table:24} {'; '.join([place, *placed.reasons])}"


def _short(text: str) -> str:
    return " ".join(text.split())[:SHOWN]
