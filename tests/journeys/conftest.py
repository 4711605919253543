"""Usage to rehearse on, and commands on a catalogue.

The user's recorded usage lies beside the repository; where it does not, usage made up in its shape takes its place.
"""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask

from control_plane.platform.runtime import cli_support
from credits_engine.cli import register
from dashboards.simulation.traffic import generate_traffic
from dashboards.simulation.usage_log import COLUMNS
from tests.journeys.usage import OPERATIONS

Run = Callable[..., Result]
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "usage.csv"


@pytest.fixture(scope="session")
def recorded_usage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of usage."""
    if RECORDED.exists():
        return RECORDED
    path = tmp_path_factory.mktemp("usage") / "usage.csv"
    rows = generate_traffic(
        seed=1, begins_at=datetime(2026, 1, 1, 8, tzinfo=UTC), between=timedelta(minutes=35), operations=OPERATIONS
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            ((kind, amount),) = ((kind, amount) for kind, amount in row.amounts.items() if amount)
            assert row.signed_up_at is not None
            instants = row.occurred_at.isoformat(), row.signed_up_at.isoformat()
            writer.writerow([row.operation_id, instants[0], row.user_id, instants[1], row.plan, kind, amount])
    return path


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command of `rollout` with a document as its file where it takes one."""
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    rollout = click.Group()
    register(rollout)

    def run(*arguments: str, document: str = "") -> Result:
        path = tmp_path / "document.yaml"
        path.write_text(document)
        return CliRunner().invoke(rollout, [*arguments, *([str(path)] if document else [])])

    return run
