"""An application for as long as a block lasts, with no connection left open behind it."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from alerts.definitions import parser
from control_plane.app import create_app
from control_plane.platform.db.database import db
from control_plane.platform.settings import Settings

STATEMENTS: LRUCache[Any, Any] = LRUCache(5000)
"""What SQLAlchemy has compiled, by dialect and statement."""


@contextmanager
def application(settings: Settings, *, schema_may_wait: bool = False) -> Iterator[Flask]:
    """Yield the whole application, its schema up to date. Afterwards its database may be copied, moved or dropped."""
    app = create_app(settings, schema_may_wait=schema_may_wait)
    _compile_statements_once(app)
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()


def _compile_statements_once(app: Flask) -> None:
    """Share the statements that are compiled with every other application: a fifth of what a test costs."""
    with app.app_context():
        for engine in db.engines.values():
            engine.update_execution_options(compiled_cache=STATEMENTS)


def _dialect_hash(this: DefaultDialect) -> int:
    return hash(this.name)


def _is_same_dialect(this: DefaultDialect, other: object) -> bool:
    return isinstance(other, type(this)) and this.server_version_info == other.server_version_info


def _compiled_once(compile_rule: Callable[[Rule], None]) -> Callable[[Rule], None]:
    """Werkzeug parses every rule and writes two functions that build its address: a third of what an application costs,
    and the same for each of the thousands that the tests make."""
    compiled: dict[Hashable, Mapping[str, Any]] = {}

    def once(rule: Rule) -> None:
        key = (rule.rule, rule.subdomain, rule.host, rule.merge_slashes, repr(rule.defaults))
        if key not in compiled:
            compile_rule(rule)
            compiled[key] = {name: rule.__dict__[name] for name in ("_parts", "_trace", "_converters", "arguments")} | {
                name: getattr(rule, name).__func__ for name in ("_build", "_build_unknown")
            }
            return
        for name, value in compiled[key].items():
            setattr(rule, name, value.__get__(rule) if name.startswith("_build") else value.copy())

    return once


class _CompiledTemplates(BytecodeCache):
    """Templates that one application has compiled, for every other."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _CompiledTemplates()}
Rule.compile = _compiled_once(Rule.compile)  # type: ignore[method-assign, assignment]
parser._composed = cache(parser._composed)
# Each engine has a dialect of its own, which compiles what another one of its kind does.
DefaultDialect.__eq__ = _is_same_dialect  # type: ignore[method-assign, assignment]
DefaultDialect.__hash__ = _dialect_hash  # type: ignore[method-assign, assignment]
