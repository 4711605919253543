"""The dashboard for Grafana: what promtool says of its queries, and that every metric it draws is one of ours."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from alerts.cli import DASHBOARD_FILE, alerts_group
from alerts.definitions import parser
from alerts.export import grafana, prometheus
from tests import programs
from tests.conftest import ROOT

FUNCTIONS = {"histogram_quantile", "increase", "rate", "sum", "max", "min", "by"}
LABELS = {"flag", "alert", "status", "state", "outcome", "le"}

Panels = list[dict[str, Any]]


@pytest.fixture(scope="module")
def panels() -> Panels:
    """The panels of the dashboard of our own alerts, without the rows' titles."""
    document = grafana.dashboard(parser.parse((ROOT / "alerts.yaml").read_text()))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_the_shipped_dashboard_is_that_of_the_shipped_alerts(tmp_path: Path) -> None:
    arguments = ["export-grafana", str(tmp_path), "--file", str(ROOT / "alerts.yaml")]
    assert CliRunner().invoke(alerts_group, arguments, catch_exceptions=False).exit_code == 0
    shipped = ROOT / "deploy/grafana/dashboards" / DASHBOARD_FILE
    remedy = "write it again: rollout alerts export-grafana deploy/grafana/dashboards"
    assert shipped.read_text() == (tmp_path / DASHBOARD_FILE).read_text(), remedy
    assert json.loads(shipped.read_text())["uid"] == "rollout"


def test_every_query_is_one_that_prometheus_understands(panels: Panels, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{panel['id']}:query", "expr": query(panel)} for panel in panels]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    command = [programs.path_of("promtool"), "check", "rules", str(tmp_path / "queries.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_metric_that_is_drawn_is_documented_or_recorded(panels: Panels) -> None:
    rules = prometheus.rules_document(parser.parse((ROOT / "alerts.yaml").read_text()), scrape_seconds=15)
    recorded = {rule.get("record") for group in rules["groups"] for rule in group["rules"]}
    documented = set(re.findall(r"`((?:rollout|guard)_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    drawn = {name for panel in panels for name in re.findall(r"[a-z_][\w:]*", re.sub(r"\[\w+\]", "", query(panel)))}
    unknown = {name.removesuffix("_bucket") for name in drawn - recorded - FUNCTIONS - LABELS} - documented
    assert unknown == set()
    assert documented & drawn


def test_no_panel_lies_upon_another_or_beyond_the_edge(panels: Panels) -> None:
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= grafana.WIDTH for place in places)
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def query(panel: dict[str, Any]) -> str:
    (target,) = panel["targets"]
    return str(target["expr"])
