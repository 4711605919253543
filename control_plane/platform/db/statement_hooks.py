"""Report statements executed past SQLAlchemy through the same hooks as its own."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError

from control_plane.platform.extensions import AppState


@dataclass(frozen=True, slots=True)
class StatementHooks:
    """Callbacks with the duration of a statement in seconds, and its text or its error."""

    answered: Callable[[float, str], None]
    failed: Callable[[float, Exception], None]


HOOKS = AppState[StatementHooks]("statement_hooks")


def set_statement_hooks(app: Flask, told: StatementHooks) -> None:
    """Let `told` know of every such statement of this application."""
    HOOKS.set(app, told)


def statement_hooks() -> StatementHooks:
    """Return the hooks of this application."""
    return HOOKS.get()


def wrap_dbapi_error(
    dialect: Dialect, error: Exception, base: type[Exception], statement: str | None, *, is_lost: bool = False
) -> DBAPIError:
    """SQLAlchemy's error for the driver's, whose errors all derive from `base`; without values, which are a user's."""
    refused = DBAPIError.instance(
        statement, None, error, base, hide_parameters=True, connection_invalidated=is_lost, dialect=dialect
    )
    assert isinstance(refused, DBAPIError)
    return refused
