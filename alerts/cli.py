"""`rollout alerts`."""

import sys
from pathlib import Path

import click

from alerts import reading
from alerts.reading import RulesRefused
from alerts.rules import alphas
from control_plane.platform.console import CommandFailed, json_option, show
from control_plane.platform.settings import Settings


def register(group: click.Group) -> None:
    """Add this package's commands."""
    group.add_command(alerts_group)


@click.group("alerts")
def alerts_group() -> None:
    """The thresholds the guard judges by."""


@alerts_group.command("check")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), required=False)
@json_option
def check_command(*, path: Path | None, as_json: bool) -> None:
    """Check PATH (default: the alerts in use); every mistake with its line, exit code 1 if there is any."""
    file = path or Settings.from_env().alerts_file
    try:
        rules = reading.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}.") from error
    except (RulesRefused, UnicodeDecodeError) as error:
        mistakes = [str(mistake) for mistake in getattr(error, "mistakes", [error])]
        show({"file": str(file), "mistakes": mistakes}, "\n".join(mistakes), as_json=as_json)
        sys.exit(1)
    shares = alphas(rules)
    words = [f"{file}: {len(rules)} alerts, no mistake."] + [
        f"  {rule.name:28} {rule.threshold_text:>6} in {rule.window_seconds:.0f} s, {rule.action}, "
        f"alpha {shares.get(rule.name, 0):.2%}"
        for rule in rules
    ]
    document = {"file": str(file), "mistakes": [], "alerts": [rule.name for rule in rules]}
    show(document, "\n".join(words), as_json=as_json)
