"""The rehearsal command, run and read."""

import json
from typing import Any

from click.testing import CliRunner

from dashboards.simulation.commands import replay

OPERATIONS = 14_960


def replay_usage(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(replay, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document
