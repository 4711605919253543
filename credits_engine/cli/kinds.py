"""Kinds of credits as arguments and options: those that the catalogue has when a command runs."""

from contextlib import suppress

import click
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform.runtime.cli_support import application
from control_plane.platform.setting_values import SettingsError
from credits_engine.engines.amounts import KINDS, Kind


class KindType(click.ParamType[Kind]):
    """The name of a kind."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Kind:
        if value not in KINDS:
            _read_added()
        if value not in KINDS:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, KINDS))}.", param, ctx)
        return Kind(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's interface
        return f"{{{'|'.join(KINDS)}}}"


class AmountsCommand(click.Command):
    """A command with an option for the amount of each kind."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {option for param in self.get_params(ctx) for option in param.opts}
        # An option that no built-in kind has may be for one that is data, which stands in the database alone.
        if any(name.startswith("--") and name.partition("=")[0] not in known for name in args):
            _read_added()
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        help_text = "{} credits to give back; negative takes them away."
        amounts = [click.Option([f"--{kind}"], default=0, help=help_text.format(kind.capitalize())) for kind in KINDS]
        return [*amounts, *super().get_params(ctx)]


def _read_added() -> None:
    """Make the application, which knows the kinds of its database from its start on."""
    with suppress(SQLAlchemyError, SettingsError):
        application()
