"""`rollout load-test`."""

import sys
from dataclasses import asdict

import click

from control_plane.platform import settings
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.load_test import runner


@click.command("load-test")
@click.option("--rate", default=50, show_default=True, type=click.IntRange(1, 500), help="Requests a second.")
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(1, 600), help="For how long.")
@click.option("--url", default="", help="The address of the installation. Default: HOST and PORT of its settings.")
@json_option
@in_application
def load_test_command(*, rate: int, seconds: int, url: str, as_json: bool) -> None:
    """Put load on an installation that serves v2 to nobody yet; exit code 1 if it falls short."""
    ours = settings.current()
    try:
        found = runner.run(url or f"http://{ours.host}:{ours.port}", per_second=rate, seconds=seconds, actor=actor())
    except runner.LoadTestRefused as error:
        raise CommandFailed(str(error)) from error
    lines = [
        f"{found.requests:,} requests at {found.per_second:,} a second, {found.failed:,} failed.",
        f"At p95 consumption took {found.consume_p95_ms:g} ms and the status {found.status_p95_ms:g} ms.",
        *(found.shortfalls or ["That is enough. The checklist has it."]),
    ]
    echo_result({**asdict(found), "passed": found.passed}, "\n".join(lines), as_json=as_json)
    sys.exit(0 if found.passed else 1)
