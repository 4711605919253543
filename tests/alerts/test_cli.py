"""`rollout alerts`: thresholds explained, tried on made-up counters, and shown as the guard judges them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alerts.cli import alerts_group
from control_plane.cli import command_line
from tests.conftest import ROOT

ALERTS = str(ROOT / "alerts.yaml")
GUIDE = """
steps:
  - at: 0s
    counts: {credit_consumption_failure: {bad: 1, total: 20}}
    expect: {credit_consumption_failure: watch, api_error_rate: insufficient}
  - at: 1m
    counts: {credit_consumption_failure: {bad: 3, total: 10}}
    expect: {credit_consumption_failure: hold}
  - at: 2m
    counts: {credit_consumption_failure: {bad: 5, total: 10}}
    expect: {credit_consumption_failure: rollback}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alerts_group, [*arguments, "--file", ALERTS], catch_exceptions=False)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(GUIDE)
    return path


def test_a_scenario_that_comes_out_as_expected_exits_with_0(scenario: Path) -> None:
    done = run("test", str(scenario))
    assert (done.exit_code, done.output) == (0, "4 of 4 verdicts are as expected.\n")


def test_a_verdict_that_differs_is_told_with_its_reason(scenario: Path) -> None:
    scenario.write_text(GUIDE.replace("failure: hold", "failure: ok"))
    done = run("test", str(scenario))
    assert done.exit_code == 1
    assert "60 s, credit_consumption_failure: expected ok, got hold: Likely over its threshold." in done.output


def test_what_legacy_fails_as_well_holds_and_does_not_roll_back(scenario: Path) -> None:
    scenario.write_text(GUIDE.replace("bad: 5, total: 10", "bad: 5, total: 10, shared: 5"))
    assert run("test", str(scenario)).exit_code == 0, "of the two steps before nothing is known"
    shared = GUIDE.replace("{bad: 1, total: 20}", "{bad: 1, total: 20, shared: 1}")
    shared = shared.replace("{bad: 3, total: 10}", "{bad: 3, total: 10, shared: 3}")
    shared = shared.replace("{bad: 5, total: 10}", "{bad: 5, total: 10, shared: 5}").replace("rollback", "hold")
    scenario.write_text(shared)
    assert run("test", str(scenario)).exit_code == 0, run("test", str(scenario)).output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GUIDE.replace("failure: hold", "failures: hold"), "there is no alert credit_consumption_failures"),
        (GUIDE.replace("2m", "30s"), "list steps in the order of time"),
        (GUIDE.replace("1m", "soon"), "'soon' is not a duration"),
        ("steps: 3", "is no scenario"),
        (GUIDE.replace("bad: 5", "bad: 50"), "0 <= bad <= total"),
    ],
)
def test_a_scenario_that_can_not_be_played_is_refused_with_what_is_wrong(scenario: Path, text: str, told: str) -> None:
    scenario.write_text(text)
    done = run("test", str(scenario))
    assert done.exit_code == 1
    assert told in done.output


def test_an_alert_is_explained_by_how_many_errors_it_takes() -> None:
    done = run("explain", "credit_consumption_failure")
    assert "How many errors does it take?" in done.output
    found: Any = json.loads(run("explain", "credit_consumption_failure", "--json").output)
    twenty = next(each for each in found["errors_needed"] if each["total"] == 20)
    assert twenty["hold"] < twenty["rollback"] <= 5


def test_a_tripwire_is_explained_as_one() -> None:
    assert "the first bad outcome decides" in run("explain", "credit_double_charge").output


def test_a_budget_is_shown_and_explained_wherever_it_comes_from(tmp_path: Path) -> None:
    assert "is in the setting CREDITS_AT_RISK_MAX." in run("explain", "credits_at_risk").output
    own = tmp_path / "alerts.yaml"
    own.write_text("alerts:\n  credits_at_risk: {threshold: 0%, window: 5m, severity: critical, budget: 2500}\n")
    explained = CliRunner().invoke(alerts_group, ["explain", "credits_at_risk", "--file", str(own)]).output
    assert "bad may be 0% above 2,500 credits" in explained
    assert "A step may cost 2,500 credits; a look that finds more is bad." in explained
    document = CliRunner().invoke(alerts_group, ["explain", "credits_at_risk", "--file", str(own), "--json"]).output
    assert json.loads(document)["budget"] == 2500
    checked = CliRunner().invoke(alerts_group, ["check", str(own)]).output
    assert (
        "rollback, wrong rollback in 1.00% of attempts, wrong hold in 10.00% (weight 1), budget 2,500 credits\n"
        in checked
    )


def test_an_unknown_alert_is_answered_with_the_known_ones() -> None:
    done = run("explain", "nothing")
    assert done.exit_code == 1
    assert "known are credit_consumption_failure" in done.output


def test_check_prints_what_cohorts_share_beside_what_all_have() -> None:
    lines = run_check().splitlines()
    failure = next(line for line in lines if line.strip().startswith("credit_consumption_failure"))
    assert "; all its cohorts together 0.02% and 0.15% more" in failure
    errors = next(line for line in lines if line.strip().startswith("api_error_rate"))
    assert "cohorts" not in errors


def test_check_names_the_alerts_of_flags_that_have_no_rollout(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mistakes: a flag may be made after its alerts."""
    for name, value in {"INSTANCE_DIR": str(tmp_path), "DATABASE_URL": sqlite_url}.items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(command_line(), ["plan"]).exit_code == 0
    alerts = tmp_path / "some.yaml"
    alerts.write_text(
        "alerts:\n"
        "  tickets: {metric: tickets, flag: NOPE, threshold: 1%, window: 1h, severity: info}\n"
        "  typed: {metric: typed, flag: ENABLE_CREDITS_V3, threshold: 1%, window: 1h, severity: info}\n"
        "  known: {metric: known, threshold: 1%, window: 1h, severity: info}\n"
    )
    done = CliRunner().invoke(alerts_group, ["check", str(alerts), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.output)["warnings"] == [
        "tickets judges nothing: no rollout is called NOPE.",
        "typed judges nothing: no rollout is called ENABLE_CREDITS_V3. Did you mean ENABLE_CREDITS_V2?",
    ]


def test_check_needs_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    assert "no mistake" in run_check()
    assert [*tmp_path.iterdir()] == []


def run_check() -> str:
    return CliRunner().invoke(alerts_group, ["check", ALERTS], catch_exceptions=False).output
