"""What every `rollout` command shares: an application to work in, JSON or words, one sentence for a failure."""

import getpass
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from importlib import import_module
from typing import Any

import click
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform import signals
from control_plane.platform.database import db
from control_plane.platform.settings import Settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")


class CommandFailed(click.ClickException):
    """The command was understood and can't be done: one sentence, exit code 1."""

    exit_code = 1


def actor() -> str:
    """Who works at this console, as the audit trail names them."""
    return f"console:{getpass.getuser()}"


def application() -> Flask:
    """The application on this console's settings, without background threads."""
    # By name: the application stands above the platform.
    app = import_module("control_plane.app").create_app(Settings.from_env())
    assert isinstance(app, Flask)
    return app


def in_application(command: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command inside an application context; what it counted reaches the guard, as no schedule runs here."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        with application().app_context():
            try:
                return command(*arguments, **options)
            finally:
                # Lost evidence is no reason to call a command failed that did its work.
                with suppress(SQLAlchemyError):
                    signals.flush(datetime.now(UTC))
                db.engine.dispose()

    return run


def show(document: Mapping[str, object], words: str, *, as_json: bool) -> None:
    """Print the answer for a script or for a person."""
    click.echo(json.dumps(document, default=str, indent=2) if as_json else words)
