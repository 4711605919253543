"""`rollout flags stale`."""

from datetime import timedelta

import click

from control_plane.core.lifecycle import CLEANUP_AFTER
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import echo_result, in_application, json_option
from flags.administration.stale import DAYS_MAX, UNUSED_AFTER, stale_flags
from flags.api.stale import document


@click.command("stale")
@click.option("--complete-days", type=click.IntRange(0, 3650), default=CLEANUP_AFTER.days, show_default=True)
@click.option("--unused-days", type=click.IntRange(1, DAYS_MAX), default=UNUSED_AFTER.days, show_default=True)
@json_option
@in_application
def stale_command(*, complete_days: int, unused_days: int, as_json: bool) -> None:
    """List flags that are complete for long, that no SDK requests, and that are requested and not known here."""
    days = {"complete_for": timedelta(days=complete_days), "unused_for": timedelta(days=unused_days)}
    with read_only() as session:
        found = stale_flags(session, clock.now(), **days)
    lines = [f"{each.flag:40} {each.sentence}" for each in found]
    echo_result({"flags": [document(each) for each in found]}, "\n".join(lines) or "There are none.", as_json=as_json)
