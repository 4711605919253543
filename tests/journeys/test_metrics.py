"""The page of metrics, held against what a scrape of the whole application shows."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask

from control_plane.platform.observability import telemetry
from credits_engine.reconciliation.scheduled import check_books
from tests.conftest import ROOT

pytestmark = pytest.mark.database("sqlite")


def test_every_metric_is_documented_and_nothing_else_is(app: Flask) -> None:
    with app.app_context():
        check_books(datetime.now(UTC), "test")
        shown = re.findall(r"^# TYPE (\S+)", telemetry.exposition().decode(), re.MULTILINE)
    ours = {name for name in shown if name.startswith(("rollout_", "guard_")) and not name.endswith("_created")}
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert ours == set(re.findall(r"`((?:rollout|guard)_\w+)`", text))
