"""`rollout replay` and `rollout demo`."""

import click

from dashboards.rehearsal.commands import replay
from dashboards.rehearsal.demo import demo


def register(group: click.Group) -> None:
    """Add this package's commands."""
    group.add_command(replay)
    group.add_command(demo)
