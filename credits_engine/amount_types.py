"""Amounts and limits as columns, and the SQL on them: arrays on PostgreSQL, JSON arrays on SQLite.

A figure's place is its kind's in the canonical order; what is not there is 0.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    Dialect,
    String,
    TypeDecorator,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from credits_engine.engines.amounts import KINDS, Amounts, ByKind, Limits

FIGURES_REMEMBERED = 4_096

Stored = ByKind[int] | ByKind[int | None]
Figures = TypeVar("Figures", bound=Stored)
Made = TypeVar("Made")


class _FiguresType(TypeDecorator[Figures]):
    """Figures by kind as an array. Every operation converts a dozen, so the conversions are the shortest there are."""

    impl = JSON
    cache_ok = True
    made: type[Figures]

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else ARRAY(BigInteger))

    def bind_processor(self, dialect: Dialect) -> Any:
        return _text if dialect.name == "sqlite" else _list

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        made: Any = self.made
        if dialect.name == "sqlite":
            return lambda array: None if array is None else _read(made, array)
        return lambda array: None if array is None else made(*array)


def _list(value: Stored | None) -> list[int | None] | None:
    return None if value is None else list(value.stored)


def _text(value: Stored | None) -> str | None:
    return None if value is None else _written(value.stored)


# Nearly all amounts are the same few, and nearly all limits are those of a plan.
@lru_cache(FIGURES_REMEMBERED)
def _written(figures: tuple[int | None, ...]) -> str:
    return json.dumps(figures, separators=(",", ":"))


@lru_cache(FIGURES_REMEMBERED)
def _read(made: Any, array: str) -> Any:
    return made(*json.loads(array))


class AmountsType(_FiguresType[Amounts]):
    """Amounts by kind."""

    cache_ok = True
    made = Amounts


class LimitsType(_FiguresType[Limits]):
    """Limits by kind; null is unlimited."""

    cache_ok = True
    made = Limits


def element(dialect: str, array: str, place: int) -> str:
    """Write the figure at a place, counted from 0."""
    return (
        f"coalesce(json_extract({array}, '$[{place}]'), 0)"
        if dialect == "sqlite"
        else (f"coalesce(({array})[{place + 1}], 0)")
    )


def array(dialect: str, figures: Iterable[str]) -> str:
    """Write figures as one value."""
    joined = ", ".join(figures)
    return f"json_array({joined})" if dialect == "sqlite" else f"CAST(ARRAY[{joined}] AS bigint[])"


class amount_of(FunctionElement[int]):  # noqa: N801 - written like a function of SQL
    """The amount of one kind in a column."""

    type = BigInteger()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Amounts], kind: str) -> None:
        super().__init__(column, literal_column(str(KINDS.index(kind))))  # type: ignore[arg-type]


class amounts_of(FunctionElement[Amounts]):  # noqa: N801
    """Amounts of one expression each, in the canonical order."""

    type = AmountsType()
    inherit_cache = True


class total_of(FunctionElement[int]):  # noqa: N801
    """All credits of a column together, whatever their kinds are."""

    type = BigInteger()
    inherit_cache = True


class distance_of(FunctionElement[int]):  # noqa: N801
    """By how many credits two columns differ, over and under added up; null where one of them is."""

    type = BigInteger()
    inherit_cache = True


def sum_of(one: ColumnElement[Amounts], other: ColumnElement[Amounts]) -> amounts_of:
    """Return two amounts added up."""
    return amounts_of(*(amount_of(one, kind) + amount_of(other, kind) for kind in KINDS))


def summed(column: ColumnElement[Amounts]) -> amounts_of:
    """Sum a column over rows; 0 over none."""
    return amounts_of(*(func.coalesce(func.sum(amount_of(column, kind)), 0) for kind in KINDS))


def per_kinds(build: Callable[[], Made]) -> Callable[[], Made]:
    """Build a statement once for as many kinds as there are."""
    made = cache(lambda _kinds: build())
    return lambda: made(len(KINDS))


def _parts(compiler: SQLCompiler, of: FunctionElement[Any], options: dict[str, object]) -> list[str]:
    return [compiler.process(each, **options) for each in of.clauses]


@compiles(amount_of)
def _amount_of(of: amount_of, compiler: SQLCompiler, **options: object) -> str:
    column, place = _parts(compiler, of, options)
    return element(compiler.dialect.name, column, int(place))


@compiles(amounts_of)
def _amounts_of(of: amounts_of, compiler: SQLCompiler, **options: object) -> str:
    return array(compiler.dialect.name, _parts(compiler, of, options))


@compiles(total_of)
def _total_of(of: total_of, compiler: SQLCompiler, **options: object) -> str:
    return f"(SELECT coalesce(sum(n), 0) FROM unnest({_parts(compiler, of, options)[0]}) n)"  # noqa: S608


@compiles(total_of, "sqlite")
def _total_of_json(of: total_of, compiler: SQLCompiler, **options: object) -> str:
    return f"(SELECT coalesce(sum(value), 0) FROM json_each({_parts(compiler, of, options)[0]}))"  # noqa: S608


@compiles(distance_of)
def _distance_of(of: distance_of, compiler: SQLCompiler, **options: object) -> str:
    one, other = _parts(compiler, of, options)
    return f"(SELECT sum(abs(coalesce(a, 0) - coalesce(b, 0))) FROM unnest({one}, {other}) f(a, b))"  # noqa: S608


@compiles(distance_of, "sqlite")
def _distance_of_json(of: distance_of, compiler: SQLCompiler, **options: object) -> str:
    one, other = _parts(compiler, of, options)
    return (
        "(SELECT sum(abs(coalesce(a.value, 0) - coalesce(b.value, 0))) "  # noqa: S608
        f"FROM json_each({one}) a FULL JOIN json_each({other}) b ON b.key = a.key)"
    )
