"""`export`, `diff` and `apply`: the commands of whatever is written as a YAML document and added to the database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import click
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)

Found = TypeVar("Found")

file_argument = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@dataclass(frozen=True, slots=True)
class DocumentCommands(Generic[Found]):
    """What can be done with a kind of document, and how the difference is shown that applying makes."""

    export: Callable[[Session], str]
    difference: Callable[[Session, str, datetime], Found]
    apply: Callable[[Session, str, ChangeContext], Found]
    as_json: Callable[[Found], Mapping[str, object]]
    as_lines: Callable[[Found], list[str]]
    unavailable: tuple[type[Exception], ...] = ()
    """Errors of others who are asked meanwhile: their sentence is the command's."""

    def add_to(self, group: click.Group, *, diff_help: str, apply_help: str) -> None:
        """Add the three commands to a group."""
        for command in (self._export(), self._diff(diff_help), self._apply(apply_help)):
            group.add_command(command)

    def _export(self) -> click.Command:
        @click.command("export", help="Print what was added, as YAML that can be applied again.")
        @in_application
        def command() -> None:
            with read_only() as session:
                click.echo(self.export(session), nl=False)

        return command

    def _diff(self, help_text: str) -> click.Command:
        @click.command("diff", help=help_text)
        @file_argument
        @json_option
        @in_application
        def command(*, path: Path, as_json: bool) -> None:
            def compared() -> Found:
                with read_only() as session:
                    return self.difference(session, path.read_text(encoding="utf-8"), clock.now())

            self._echo(compared, as_json=as_json)

        return command

    def _apply(self, help_text: str) -> click.Command:
        @click.command("apply", help=help_text)
        @file_argument
        @reason_option()
        @json_option
        @in_application
        def command(*, path: Path, reason: str, as_json: bool) -> None:
            def applied() -> Found:
                change = ChangeContext(clock.now(), actor(), reason)
                with transaction() as session:
                    return self.apply(session, path.read_text(encoding="utf-8"), change)

            self._echo(applied, as_json=as_json)

        return command

    def _echo(self, work: Callable[[], Found], *, as_json: bool) -> None:
        try:
            found = work()
        except Problem as problem:
            raise CommandFailed(problem.detail) from problem
        except self.unavailable as error:
            raise CommandFailed(str(error)) from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"The file is not UTF-8: {error}") from error
        echo_result(self.as_json(found), "\n".join(self.as_lines(found)), as_json=as_json)
