"""Columns of one kind each made one column of all kinds, and back: arrays on PostgreSQL, JSON arrays on SQLite.

The journal refuses changes, so on PostgreSQL a column changes its type by an expression, which no trigger sees, and on
SQLite a table is written anew beside the old one and takes its place, indexes and triggers with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic import op

REFERRED_TO = "credit_rollback_report"
CONSTRAINTS = ("CONSTRAINT", "PRIMARY KEY", "FOREIGN KEY")

Lines = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of all kinds. `old` names the columns that it was, with a place for the kind.

    It is null where `given` was, if that is named; otherwise it is never null. A limit may be null for one kind alone.
    """

    name: str
    old: str
    given: str | None = None
    is_limit: bool = False

    def columns(self, kinds: Iterable[str]) -> list[str]:
        """Name the columns of each kind."""
        return [self.old.format(kind) for kind in kinds]


Figures = Mapping[str, Sequence[Figure]]
Checks = Mapping[str, Sequence[str]]
"""What is checked not to be negative; `limit` checks the column `limits`."""


def added(names: Iterable[str], *, by_kind: bool) -> list[sa.Column[object]]:
    """Make columns that are never null, of all kinds or of one."""
    return [sa.Column(name, _type() if by_kind else sa.BigInteger(), nullable=False) for name in names]


def merge(figures: Figures, kinds: Sequence[str], checks: Checks) -> None:
    """Make the columns of each kind one column."""
    for table, each in figures.items():
        if _on_sqlite():
            lines = {figure.columns(kinds)[0]: [_line(figure.name, "JSON", figure)] for figure in each}
            gone = {name for figure in each for name in figure.columns(kinds)}
            values = {figure.name: _json(figure, kinds) for figure in each}
            _rewrite(table, lines, gone, values, _checks(table, checks, "{0} NOT LIKE '%-%'"))
        else:
            _merge_arrays(table, each, kinds, checks)
    if _on_sqlite():
        _rewrite("credit_pack", {}, set(), {}, {"ck_credit_pack_kind": None})
    else:
        op.drop_constraint("ck_credit_pack_kind", "credit_pack")


def split(figures: Figures, kinds: Sequence[str], checks: Checks) -> None:
    """Make one column a column of each kind."""
    for table, each in figures.items():
        if _on_sqlite():
            lines = {figure.name: [_line(name, "BIGINT", figure) for name in figure.columns(kinds)] for figure in each}
            values = {
                name: _element(figure, place, "json_extract({0}, '$[{1}]')")
                for figure in each
                for place, name in enumerate(figure.columns(kinds))
            }
            _rewrite(table, lines, {figure.name for figure in each}, values, _kind_checks(table, kinds, checks))
        else:
            _split_arrays(table, each, kinds, checks)
    among = "kind IN ('{}')".format("', '".join(kinds))
    if _on_sqlite():
        _rewrite("credit_pack", {}, set(), {}, {"ck_credit_pack_kind": among})
    else:
        op.create_check_constraint("ck_credit_pack_kind", "credit_pack", among)


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _type() -> sa.types.TypeEngine[object]:
    return sa.JSON() if _on_sqlite() else sa.ARRAY(sa.BigInteger)  # type: ignore[return-value]


def _checks(table: str, checks: Checks, condition: str) -> dict[str, str | None]:
    columns = {"used": "used", "limit": "limits"}
    return {f"ck_{table}_{what}": condition.format(columns[what]) for what in checks.get(table, ())}


def _kind_checks(table: str, kinds: Sequence[str], checks: Checks) -> dict[str, str | None]:
    return {
        f"ck_{table}_{what}": " AND ".join(f"{kind}_{what} >= 0" for kind in kinds) for what in checks.get(table, ())
    }


def _merge_arrays(table: str, figures: Sequence[Figure], kinds: Sequence[str], checks: Checks) -> None:
    for check in _checks(table, checks, ""):
        op.drop_constraint(check, table)
    changes = []
    for figure in figures:
        array = f"ARRAY[{', '.join(figure.columns(kinds))}]"
        value = f"CASE WHEN {figure.given} IS NOT NULL THEN {array} END" if figure.given else array
        changes.append(f"ALTER COLUMN {figure.columns(kinds)[0]} TYPE bigint[] USING {value}")
        if not figure.given:
            changes.append(f"ALTER COLUMN {figure.columns(kinds)[0]} SET NOT NULL")
    op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
    for figure in figures:
        first, *others = figure.columns(kinds)
        op.execute(f"ALTER TABLE {table} {', '.join(f'DROP COLUMN {name}' for name in others)}")
        op.alter_column(table, first, new_column_name=figure.name)
    for check, condition in _checks(table, checks, "0 <= ALL ({0})").items():
        op.create_check_constraint(check, table, str(condition))


def _split_arrays(table: str, figures: Sequence[Figure], kinds: Sequence[str], checks: Checks) -> None:
    for check in _checks(table, checks, ""):
        op.drop_constraint(check, table)
    changes = []
    for figure in figures:
        first, *others = figure.columns(kinds)
        op.alter_column(table, figure.name, new_column_name=first)
        op.execute(f"ALTER TABLE {table} {', '.join(f'ADD COLUMN {name} bigint' for name in others)}")
        if figure.is_limit:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {first} DROP NOT NULL")
        for place, name in enumerate((first, *others), start=1):
            value = _element(figure, place, f"{first}[{{1}}]")
            changes.append(f"ALTER COLUMN {name} TYPE bigint USING {value}")
            if not (figure.given or figure.is_limit):
                changes.append(f"ALTER COLUMN {name} SET NOT NULL")
    op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
    for check, condition in _kind_checks(table, kinds, checks).items():
        op.create_check_constraint(check, table, str(condition))


def _element(figure: Figure, place: int, condition: str) -> str:
    value = condition.format(figure.name, place)
    return value if figure.given or figure.is_limit else f"coalesce({value}, 0)"


def _json(figure: Figure, kinds: Sequence[str]) -> str:
    array = f"json_array({', '.join(figure.columns(kinds))})"
    return f"CASE WHEN {figure.given} IS NOT NULL THEN {array} END" if figure.given else array


def _line(name: str, kind: str, figure: Figure) -> str:
    nullable = figure.given or (figure.is_limit and kind == "BIGINT")
    return f"{name} {kind}{'' if nullable else ' NOT NULL'}"


def _rewrite(
    table: str,
    lines: Lines,
    gone: set[str],
    values: Mapping[str, str],
    checks: Mapping[str, str | None],
) -> None:
    """Copy a table of SQLite into one with other columns, and put it in its place.

    `lines` are put in the place of a column, `gone` left out, `values` computed of the old columns.
    """
    if table == REFERRED_TO:
        _change_columns(table, lines, gone, values)
        return
    connection = op.get_bind()
    parts = connection.execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL"), {"table": table}
    ).all()
    written = next(sql for kind, sql in parts if kind == "table")
    body, _, tail = written.partition("(")[2].rpartition(")")
    rewritten: list[str] = []
    for field in filter(None, (field.strip(", \t") for field in body.split("\n"))):
        name, *rest = field.replace('"', "").split()
        if name == "CONSTRAINT" and rest[0] in checks:
            continue
        rewritten += lines.get(name, [] if name in gone else [field])
    rewritten += [f"CONSTRAINT {name} CHECK ({condition})" for name, condition in checks.items() if condition]
    rewritten.sort(key=lambda field: field.startswith(CONSTRAINTS))
    names = [field.split()[0] for field in rewritten if not field.startswith(CONSTRAINTS)]
    selected = ", ".join(values.get(name, name) for name in names)
    new, fields = f"new_{table}", ",\n\t".join(rewritten)
    connection.exec_driver_sql(f"CREATE TABLE {new} (\n\t{fields}\n){tail}")
    connection.exec_driver_sql(f"INSERT INTO {new} ({', '.join(names)}) SELECT {selected} FROM {table}")  # noqa: S608
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE {new} RENAME TO {table}")
    for kind, sql in parts:
        if kind != "table":
            connection.exec_driver_sql(sql)


def _change_columns(table: str, lines: Lines, gone: set[str], values: Mapping[str, str]) -> None:
    """Change the columns of a table of SQLite in place: one that others refer to can't be dropped."""
    connection = op.get_bind()
    for line in (line for each in lines.values() for line in each):
        empty = " DEFAULT '[]'" if " JSON " in line else " DEFAULT 0"
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {line}{empty if 'NOT NULL' in line else ''}")
    changed = ", ".join(f"{name} = {value}" for name, value in values.items())
    connection.exec_driver_sql(f"UPDATE {table} SET {changed}")  # noqa: S608
    for name in sorted(gone):
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {name}")
