"""Whether a statement stays with one account, read from its text alone.

All rows that it reads or writes of distributed tables must belong to one value of the account: a parameter or a
constant to which the column of each table is held by equality. Equalities count where they hold for every row, which
is below AND. What can't be read so is said to cross, so a doubtful statement never passes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

PARAMETER = re.compile(r"%\((\w+)\)s")
COLUMN = re.compile(r"[a-z]\w*\.\w+$")


class Reach(StrEnum):
    """How far a statement reaches."""

    ELSEWHERE = "no account"
    ONE_ACCOUNT = "one account"
    EACH_SHARD = "each shard"
    CROSSES = "crosses"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far a statement reaches, and what shows it."""

    reach: Reach
    reason: str = ""


def judge(statement: str, columns: Mapping[str, str]) -> Judgement:
    """Judge a statement of PostgreSQL's; `columns` names the account's column of each distributed table."""
    import sqlglot  # noqa: PLC0415 - an extra, for this check alone

    try:
        parsed = sqlglot.parse(PARAMETER.sub(r":\1", statement), read="postgres")
    except sqlglot.errors.SqlglotError:
        return Judgement(Reach.CROSSES, "it can't be read")
    if len(parsed) != 1 or parsed[0] is None:
        return Judgement(Reach.CROSSES, "it is not one statement")
    return _judge_one(parsed[0], columns)


def _judge_one(parsed: "exp.Expr", columns: Mapping[str, str]) -> Judgement:
    from sqlglot import exp  # noqa: PLC0415

    read = (table for table in parsed.find_all(exp.Table) if table.find_ancestor(exp.Lock) is None)
    found = [(table.alias_or_name, table.name) for table in read if table.name in columns]
    if not found:
        return Judgement(Reach.ELSEWHERE)
    if len(dict(found)) < len(found):
        return Judgement(Reach.CROSSES, "a name stands for two tables")
    equal = _Equalities(parsed)
    if inserted := _inserted(parsed, columns):
        equal.hold(*inserted)
    is_binding = isinstance(parsed, exp.Insert) or parsed.find(exp.Lock) is not None
    return _judge([f"{alias}.{columns[name]}" for alias, name in found], equal, is_binding=is_binding)


def _judge(ours: list[str], equal: "_Equalities", *, is_binding: bool) -> Judgement:
    """Judge by the columns of the account, one of each table; `is_binding` where rows are locked or made."""
    strays = [each for each in ours if not equal.leads(each, ours[0])]
    if strays:
        return Judgement(Reach.CROSSES, f"{', '.join(sorted(strays))} may be of another account than {ours[0]}")
    if any(not COLUMN.match(each) for each in equal.led_to(ours[0])):
        return Judgement(Reach.ONE_ACCOUNT, " = ".join(ours))
    if is_binding:
        return Judgement(Reach.CROSSES, f"rows are locked or made, and {ours[0]} may be any account's")
    return Judgement(Reach.EACH_SHARD, f"{ours[0]} may be any account's")


class _Equalities:
    """To what a column leads: whatever it equals in each row that counts.

    In the statement's own WHERE, and in the ON of an inner join, both sides lead to each other. The ON of an outer join
    says something of the rows of the joined table alone, and the words of a sub-query of its own tables alone.
    """

    def __init__(self, parsed: "exp.Expr") -> None:
        from sqlglot import exp  # noqa: PLC0415

        self._leads: dict[str, set[str]] = {}
        self._root = parsed
        for equal in parsed.find_all(exp.EQ):
            sides = _name(equal.this), _name(equal.expression)
            place = equal.parent
            while isinstance(place, exp.And | exp.Paren):
                place = place.parent
            if isinstance(place, exp.Where | exp.Join) and all(sides):
                bound = self._bound_by(place)
                for one, other in (sides, sides[::-1]):
                    if bound is None or one.partition(".")[0] in bound:
                        self._leads.setdefault(one, set()).add(other)

    def hold(self, column: str, value: str) -> None:
        """Add that the column is given this value."""
        self._leads.setdefault(column, set()).add(value)

    def led_to(self, name: str) -> set[str]:
        """Return everything that equals `name` where it counts, itself too."""
        found, coming = {name}, [name]
        while coming:
            further = self._leads.get(coming.pop(), set()) - found
            found |= further
            coming += further
        return found

    def leads(self, one: str, other: str) -> bool:
        """Return whether both are of one account: one leads to the other, or both to one value."""
        found, there = self.led_to(one), self.led_to(other)
        return other in found or any(not COLUMN.match(each) for each in found & there)

    def _bound_by(self, place: "exp.Expr") -> set[str] | None:
        """Return the names of the tables of which a WHERE or an ON says something; None where of all."""
        from sqlglot import exp  # noqa: PLC0415

        if isinstance(place, exp.Join) and place.side:
            return {place.this.alias_or_name} if place.side == "LEFT" else set()
        scope = place.find_ancestor(exp.Select)
        if scope is None or scope is self._root:
            return None
        sources = [scope.args.get("from_") or scope.args.get("from"), *scope.args.get("joins", [])]
        return {each.this.alias_or_name for each in sources if each is not None}


def _inserted(parsed: "exp.Expr", columns: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the account's column of an INSERT, and the one value that it is given."""
    from sqlglot import exp  # noqa: PLC0415

    if not isinstance(parsed, exp.Insert) or not isinstance(parsed.this, exp.Schema):
        return None
    target, names = parsed.this.this, [each.name for each in parsed.this.expressions]
    column, values = columns.get(target.name, ""), parsed.expression
    if column not in names or not isinstance(values, exp.Values):
        return None
    given = {_name(row.expressions[names.index(column)]) for row in values.expressions}
    (value,) = given if len(given) == 1 else ("",)
    return (f"{target.alias_or_name}.{column}", value) if value else None


def _name(side: "exp.Expr") -> str:
    """Name an expression that is certain: a column of a table, a parameter or a constant; nothing else has a name."""
    from sqlglot import exp  # noqa: PLC0415

    while isinstance(side, exp.Cast | exp.Paren):
        side = side.this
    if isinstance(side, exp.Column):
        return f"{side.table}.{side.name}" if side.table else ""
    if isinstance(side, exp.Placeholder | exp.Parameter | exp.Literal):
        return side.sql("postgres")
    return ""
