"""The exported rules, held to what promtool says of them and of the scenarios that come along."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerts.analysis.rules import Rule
from alerts.cli import RULES_FILE, TESTS_FILE, alerts_group
from alerts.definitions import parser
from alerts.export import prometheus
from tests import programs
from tests.conftest import ROOT

EVERY_KIND = """
alerts:
  credit_consumption_failure: {threshold: 1%, window: 5m, severity: warning}
  database_query_slow: {threshold: 500ms, window: 90s, severity: critical, quantile: 99}
  credit_variance: {threshold: 0.1%, window: 5m, severity: critical}
  one_engine_fails: {threshold: 50%, window: 1h, severity: critical, metric: credit_failure_discordant}
  tripped: {threshold: 0%, window: 5m, severity: critical, metric: anything_wrong}
  patient: {threshold: 5%, window: 2m, severity: info, metric: roast_quality, for: 3m}
"""


def export(folder: Path, alerts: Path) -> None:
    arguments = ["export-prometheus", str(folder), "--file", str(alerts)]
    done = CliRunner().invoke(alerts_group, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [programs.path_of("promtool"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["ours", "every"])
def test_promtool_finds_no_fault_and_every_scenario_comes_out(tmp_path: Path, kind: str) -> None:
    alerts = ROOT / "alerts.yaml"
    if kind == "every":
        alerts = tmp_path / "alerts.yaml"
        alerts.write_text(EVERY_KIND)
    export(tmp_path, alerts)
    checked = promtool(tmp_path, "check", "rules", "--lint-fatal", RULES_FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    played = promtool(tmp_path, "test", "rules", TESTS_FILE)
    assert played.returncode == 0, played.stdout + played.stderr


def test_the_scenarios_notice_a_rule_that_has_gone_wrong(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(EVERY_KIND.partition("  database_query_slow")[0])
    export(tmp_path, alerts)
    assert promtool(tmp_path, "test", "rules", TESTS_FILE).returncode == 0
    rules = tmp_path / RULES_FILE
    rules.write_text(rules.read_text().replace("ratio_rate5m > 0.01", "ratio_rate5m > 0.99"))
    assert promtool(tmp_path, "test", "rules", TESTS_FILE).returncode != 0


def test_a_window_too_short_for_the_scrapes_is_refused_by_name(tmp_path: Path) -> None:
    arguments = ["export-prometheus", str(tmp_path), "--scrape-seconds", "60", "--file", str(ROOT / "alerts.yaml")]
    done = CliRunner().invoke(alerts_group, arguments)
    assert done.exit_code == 1
    assert "api_error_rate, database_query_slow: a window must hold 4 scrapes" in done.output


def rule() -> Rule:
    return parser.parse(EVERY_KIND)[0]


def test_only_evidence_reaches_the_guard_for_a_plain_rate_fires_on_healthy_releases() -> None:
    assert "flag" not in prometheus.plain(rule())["labels"]
    assert 'flag="ENABLE_CREDITS_V2"' in prometheus.evidence(rule())["expr"]
    assert prometheus.evidence(rule())["labels"]["rule"] == "credit_consumption_failure"
