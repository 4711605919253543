"""The commands for flags, users and overrides."""

import click

from flags.cli.check import check_command
from flags.cli.definitions import flags_group
from flags.cli.explain import explain_command
from flags.cli.overrides import override_group
from flags.cli.relay import relay_command
from flags.cli.stale import stale_command
from flags.cli.users import users_group
from flags.cli.versions import restore_command, versions_command


def register(group: click.Group) -> None:
    """Add this package's commands."""
    for command in (stale_command, check_command, versions_command, restore_command):
        flags_group.add_command(command)
    for command in (explain_command, users_group, override_group, flags_group, relay_command):
        group.add_command(command)
