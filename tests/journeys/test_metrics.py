"""The page of metrics, held against what a scrape of the whole application shows."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.platform.observability import telemetry
from credits_engine.migration import backups
from credits_engine.reconciliation.scheduled import check_books
from tests.conftest import ROOT

pytestmark = pytest.mark.database("sqlite")


def test_every_metric_is_documented_and_nothing_else_is(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        backups.make(tmp_path / "one.backup", ChangeContext(datetime.now(UTC), "test"))
        check_books(datetime.now(UTC), "test")
        shown = re.findall(r"^# TYPE (\S+)", telemetry.exposition().decode(), re.MULTILINE)
    ours = {name for name in shown if name.startswith(("rollout_", "guard_")) and not name.endswith("_created")}
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert ours == set(re.findall(r"`((?:rollout|guard)_\w+)`", text))
