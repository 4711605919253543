"""Alerts per account of a migration that a service reports: over HTTP, in commands, on pages and in Prometheus."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from alerts import prometheus_collector, thresholds
from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.export import expressions
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.cli import command_line
from control_plane.core.phases import Phase, Plan, RolloutState
from control_plane.experiments.registry import registered_migrations
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.signal_counts import Counts
from tests.dashboards.browsing import page_text

FLAG = "ENABLE_TIERED_PRICES"
ALERTS = f"""
migrations:
  {FLAG}: {{control: list, candidate: tiered, prefix: price}}
alerts:
  price_failure: {{threshold: 1%, window: 1h, severity: critical, per: account}}
"""
GOOD, FAILED = ({"outcome": word, "durationUs": 900} for word in ("answered", "failed"))


@pytest.fixture
def alerts_file(app: Flask, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation whose file declares another migration, guarded per account at 50 % of everyone."""
    path = tmp_path / "alerts.yaml"
    path.write_text(ALERTS)
    monkeypatch.setattr(clock, "now", lambda: now)  # within one hour, whenever this runs
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (50, 100), timedelta(days=1))
    with app.app_context():
        RULES_FILE.set(app, RulesFile(path, registered_migrations))
        thresholds.init_app(app)
        with transaction() as session:
            rollouts.plan(session, FLAG, Plan((phase,), now), ChangeContext(now, "alice", "A new price list."))
        run_guard(now, 1)
        yield path


def result(account: int, *, failed: bool) -> dict[str, Any]:
    candidate = FAILED if failed else GOOD
    return {"served": "candidate", "account": f"{account:016x}", "control": GOOD, "candidate": candidate}


def report(client: FlaskClient, token: str, batch: str, results: list[dict[str, Any]]) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    body = {"batchId": batch, "results": results}
    return client.post(f"/api/experiments/{FLAG}/results", json=body, headers=headers).status_code


@pytest.mark.usefixtures("alerts_file")
def test_what_a_service_reports_is_counted_by_account_and_rolls_its_flag_back(
    client: FlaskClient, service_token: str, now: datetime, sign_in: Callable[[str], FlaskClient]
) -> None:
    healthy = [result(account, failed=False) for account in range(30) for _ in range(10)]
    assert report(client, service_token, "prices-0001", healthy) == 202
    broken = [result(account, failed=True) for account in range(6) for _ in range(10)]
    assert report(client, service_token, "prices-0002", broken) == 202
    assert report(client, service_token, "prices-0002", broken) == 202  # the same once more
    assert run_guard(now + timedelta(seconds=1), 1) != []
    with read_only() as session:
        rollout = rollouts.find(session, FLAG)
        counted = signals.totals(session)
    assert rollout.state is RolloutState.ROLLED_BACK
    assert "tiered failed operations of 6 of 30 users." in rollout.state_reason
    assert counted[signals.SeriesKey("price_failure@accounts", "tiered")] == Counts(6, 30)
    page = page_text(sign_in("victor").get("/alerts/price_failure").get_data(as_text=True))
    assert "6 of 30 users" in page
    assert "of the users of an hour" in page


@pytest.mark.usefixtures("alerts_file")
def test_prometheus_has_the_counts_from_the_first_on() -> None:
    (rule,) = RULES_FILE.get().rules
    samples = [sample for each in prometheus_collector.collect() for sample in each.samples]
    exported = {sample.labels.get("signal") for sample in samples}
    assert "price_failure@accounts" in exported
    assert 'signal="price_failure@accounts", engine="tiered"' in expressions.ratio(rule)


def test_commands_say_which_unit_it_is(alerts_file: Path) -> None:
    run = CliRunner().invoke
    assert "per account, rollback" in run(command_line(), ["alerts", "check", str(alerts_file)]).output
    explained = run(command_line(), ["alerts", "explain", "price_failure", "--file", str(alerts_file)]).output
    assert "bad may be 1% of the users of an hour" in explained
    assert "How many users with an error does it take?" in explained
    assert "It has no cohorts" in explained


def test_a_scenario_counts_users(alerts_file: Path, tmp_path: Path) -> None:
    healthy = {"at": "1m", "counts": {"price_failure": {"total": 20}}, "expect": {"price_failure": "ok"}}
    turned = {"bad": 5, "total": 0, "shared": 0}
    broken = {"at": "10m", "counts": {"price_failure": turned}, "expect": {"price_failure": "rollback"}}
    steps = [healthy, broken]
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(yaml.safe_dump({"steps": steps}))
    played = CliRunner().invoke(command_line(), ["alerts", "test", str(scenario), "--file", str(alerts_file)])
    assert (played.exit_code, played.output) == (0, "2 of 2 verdicts are as expected.\n")
