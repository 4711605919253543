"""Kinds of credits as arguments and options: those that the catalogue has when a command runs."""

import click

from credits_engine.engines.amounts import KINDS, Kind


class KindType(click.ParamType[Kind]):
    """The name of a kind."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Kind:
        if value not in KINDS:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, KINDS))}.", param, ctx)
        return Kind(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's interface
        return f"{{{'|'.join(KINDS)}}}"


class AmountsCommand(click.Command):
    """A command with an option for the amount of each kind."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        help_text = "{} credits to give back; negative takes them away."
        amounts = [click.Option([f"--{kind}"], default=0, help=help_text.format(kind.capitalize())) for kind in KINDS]
        return [*amounts, *super().get_params(ctx)]
