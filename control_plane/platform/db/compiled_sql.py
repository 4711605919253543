"""A statement in a dialect's words, made once: its text, how values are bound in it, and how rows are read from it."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import BindParameter, ClauseElement, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]
"""What is bound, by name."""
Convert = Callable[[Any], Any]


class _Bind(NamedTuple):
    """A place in the words: the value that is bound there and how it is converted, or what the statement holds."""

    place: str
    value: str | None
    convert: Convert | None
    held: Any


@dataclass(frozen=True, slots=True)
class CompiledSql:
    """A statement in a dialect's words: how values are bound, and how answered columns are read."""

    sql: str
    binds: tuple[_Bind, ...]
    places: tuple[str, ...]
    in_order: bool
    """Whether values are given in the order of their places; by their names if not."""
    reads: tuple[tuple[int, Convert], ...]
    make: Callable[[Sequence[Any]], Any] | None
    """A row of what is answered; None for a statement that answers nothing."""

    def bound(self, values: Values) -> Any:
        """Return the parameters for the driver. Raises KeyError for a missing value."""
        bound = [
            held if name is None else values[name] if convert is None else convert(values[name])
            for _place, name, convert, held in self.binds
        ]
        return bound if self.in_order else dict(zip(self.places, bound, strict=True))

    def read(self, answered: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The rows, each column in Python's type."""
        assert self.make is not None
        if not self.reads:
            return list(map(self.make, answered))
        return [self.make(self._converted(row)) for row in answered]

    def _converted(self, answered: tuple[Any, ...]) -> list[Any]:
        columns = list(answered)
        for index, convert in self.reads:
            columns[index] = convert(columns[index])
        return columns


def compile_sql(statement: Executable, dialect: Dialect, names: list[str]) -> CompiledSql:
    """`statement` for `dialect`; an INSERT without VALUES sets the columns of these `names`."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.insert_prefetch, "A default that Python computes has to be given."
    places = tuple(compiled.positiontup or ()) if compiled.positional else tuple(compiled.binds)
    columns = list(getattr(statement, "exported_columns", ()))
    reads = ((index, _out_of(column.type, dialect)) for index, column in enumerate(columns))
    row = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]
    return CompiledSql(
        sql=compiled.string,
        binds=tuple(_bind(place, compiled.binds[place], dialect) for place in places),
        places=places,
        in_order=compiled.positional,
        reads=tuple((index, convert) for index, convert in reads if convert),
        make=cast(Any, row)._make if columns else None,
    )


def _bind(place: str, parameter: BindParameter[Any], dialect: Dialect) -> _Bind:
    convert = cast(Convert | None, parameter.type.dialect_impl(dialect).bind_processor(dialect))
    if parameter.required:
        return _Bind(place, parameter.key, convert, None)
    held = parameter.effective_value
    return _Bind(place, None, None, held if convert is None else convert(held))


def _out_of(kind: Any, dialect: Dialect) -> Convert | None:
    return cast(Convert | None, kind.dialect_impl(dialect).result_processor(dialect, None))
