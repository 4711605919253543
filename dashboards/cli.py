"""`rollout replay` and `rollout demo`."""

import click

from dashboards.simulation.commands import replay
from dashboards.simulation.demonstration.command import demo


def register(group: click.Group) -> None:
    """Add this package's commands."""
    group.add_command(replay)
    group.add_command(demo)
