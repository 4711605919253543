"""`rollout alerts`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

import click
import yaml
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from alerts import store
from alerts.analysis.environments import without_rollout
from alerts.analysis.rules import ErrorBudget, Rule, error_budgets
from alerts.analysis.verdicts import to_json
from alerts.definitions import explanation, parser, scenarios
from alerts.definitions.parser import InvalidRules
from alerts.definitions.scenarios import Outcome, Scenario
from alerts.drill.cli import guard_group
from alerts.export import grafana, prometheus, promtool
from alerts.overrides import approval
from alerts.overrides.approval import OverrideRequest
from alerts.overrides.store import PendingOverride
from control_plane import rollouts
from control_plane.experiments.credits import FLAG
from control_plane.migrations import SchemaError
from control_plane.platform import clock
from control_plane.platform.db import database
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    application,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from control_plane.platform.shipped_files import shipped_alerts
from control_plane.rollouts import store as rollout_store

RULES_FILE, TESTS_FILE, DASHBOARD_FILE = "credits.yml", "credits.test.yml", "rollout.json"

file_option = click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="The alerts; default: those in use."
)
flag_option = click.option("--flag", default=FLAG, show_default=True, help="The flag whose rollout this is about.")


def register(group: click.Group) -> None:
    """Add this package's commands."""
    group.add_command(alerts_group)
    group.add_command(guard_group)


@click.group("alerts")
def alerts_group() -> None:
    """Look at the thresholds that the guard judges by, and change them."""


@alerts_group.command("check")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), required=False)
@json_option
def check_command(*, path: Path | None, as_json: bool) -> None:
    """Check PATH (default: the alerts in use); every mistake with its line, exit code 1 if there is any.

    Where this console has an installation, alerts of flags that have no rollout there are named.
    """
    file = path or Settings.from_env(may_make_key=False).alerts_file
    try:
        rules = parser.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}.") from error
    except (InvalidRules, UnicodeDecodeError) as error:
        mistakes = [str(mistake) for mistake in getattr(error, "mistakes", [error])]
        echo_result({"file": str(file), "mistakes": mistakes}, "\n".join(mistakes), as_json=as_json)
        sys.exit(1)
    budgets = error_budgets(rules)
    warnings = _warnings(rules)
    lines = [f"{file}: {len(rules)} alerts, no mistake.", *warnings] + [
        f"  {rule.name:28} {rule.threshold_text:>6} in {rule.window_seconds:.0f} s, per {rule.per}, {rule.action}, "
        f"wrong rollback in {budgets[rule.name].rollback or 0:.2%} of attempts, wrong hold in "
        f"{budgets[rule.name].hold or 0:.2%} (weight {rule.weight:g}){_budget(rule)}{_cohorts(budgets[rule.name])}"
        for rule in rules
    ]
    document = {"file": str(file), "mistakes": [], "warnings": warnings, "alerts": [rule.name for rule in rules]}
    echo_result(document, "\n".join(lines), as_json=as_json)


@alerts_group.command("template")
def template_command() -> None:
    """Print the alerts that come with the program, to begin a file of one's own."""
    click.echo(shipped_alerts().read_text(encoding="utf-8"), nl=False)


@alerts_group.command("show")
@flag_option
@json_option
@in_application
def show_command(*, flag: str, as_json: bool) -> None:
    """Show the guard's last verdict on each alert, with every figure behind it."""
    with database.read_only() as session:
        attempt = rollouts.find(session, flag).attempt
        verdicts = store.latest_verdicts(session, flag, attempt=attempt)
    lines = [f"{verdict.status:12} {verdict.alert}: {verdict.reason}" for verdict in verdicts]
    document = {
        "flag": flag,
        "attempt": attempt,
        "verdicts": [to_json(each) | {"per": each.per, "reason": each.reason} for each in verdicts],
    }
    echo_result(
        document, "\n".join(lines) or f"The guard has not judged attempt {attempt} of {flag} yet.", as_json=as_json
    )


@alerts_group.command("explain")
@click.argument("name")
@file_option
@json_option
def explain_command(*, name: str, path: Path | None, as_json: bool) -> None:
    """Explain alert NAME: what it measures, and how many errors it takes to hold and to roll back."""
    rules = _rules(path)
    rule = next((rule for rule in rules if rule.name == name), None)
    if rule is None:
        raise CommandFailed(f"There is no alert {name!r}; known are {', '.join(each.name for each in rules)}.")
    needed = [] if rule.tripwire else explanation.errors_needed(rule, error_budgets(rules)[name])
    document = {"alert": name, "budget": rule.credits_budget, "errors_needed": [asdict(each) for each in needed]}
    echo_result(document, "\n".join(explanation.explain(rule, rules)), as_json=as_json)


@alerts_group.command("test")
@click.argument("scenario", type=click.Path(dir_okay=False, path_type=Path))
@file_option
@json_option
def test_command(*, scenario: Path, path: Path | None, as_json: bool) -> None:
    """Play SCENARIO, counters over time, and compare the verdicts with those it expects; exit code 1 if one differs."""
    try:
        steps = Scenario.model_validate(yaml.safe_load(scenario.read_text(encoding="utf-8")))
        outcomes = list(scenarios.play(steps, _rules(path)))
    except OSError as error:
        raise CommandFailed(f"{scenario} can't be read: {error.strerror}.") from error
    except (ValidationError, ValueError, yaml.YAMLError) as error:
        raise CommandFailed(f"{scenario} is no scenario: {error}") from error
    missed = [outcome for outcome in outcomes if not outcome.as_expected]
    lines = [*map(_line, missed), f"{len(outcomes) - len(missed)} of {len(outcomes)} verdicts are as expected."]
    echo_result({"expected": len(outcomes), "missed": list(map(_line, missed))}, "\n".join(lines), as_json=as_json)
    sys.exit(1 if missed else 0)


@alerts_group.command("override")
@click.argument("name")
@click.option("--minutes", default=60, show_default=True, help="For how long, 60 at most.")
@reason_option()
@flag_option
@json_option
@in_application
def override_command(*, name: str, minutes: int, reason: str, flag: str, as_json: bool) -> None:
    """Let alert NAME notify only for a while; never a tripwire, and a critical one takes two owners."""
    wanted = OverrideRequest(flag, name, minutes, reason)
    with database.transaction() as session:
        granted = approval.grant(session, _rules(None), wanted, now=clock.now(), actor=actor())
    sentence = (
        f"{name} is critical: another owner has to wish the same by {granted.until:%H:%M} UTC. Until then it acts."
        if isinstance(granted, PendingOverride)
        else f"{name} only notifies until {granted.expires_at:%Y-%m-%d %H:%M} UTC."
    )
    echo_result(asdict(granted), sentence, as_json=as_json)


@alerts_group.command("export-prometheus")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scrape-seconds", default=15.0, show_default=True, help="How often Prometheus scrapes us.")
@file_option
@json_option
def export_command(*, folder: Path, scrape_seconds: float, path: Path | None, as_json: bool) -> None:
    """Write the alerts as Prometheus rules into FOLDER, with scenarios for `promtool test rules`."""
    rules = _rules(path)
    try:
        documents = {
            RULES_FILE: prometheus.rules_document(rules, scrape_seconds=scrape_seconds),
            TESTS_FILE: promtool.tests_document(rules, rules_file=RULES_FILE, scrape_seconds=scrape_seconds),
        }
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")
    files = [str(folder / name) for name in documents]
    echo_result({"files": files}, "\n".join(files), as_json=as_json)


@alerts_group.command("export-grafana")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@file_option
@json_option
def export_grafana_command(*, folder: Path, path: Path | None, as_json: bool) -> None:
    """Write a Grafana dashboard of the alerts, the guard and the server into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / DASHBOARD_FILE
    file.write_text(json.dumps(grafana.dashboard(_rules(path)), indent=1) + "\n", encoding="utf-8")
    echo_result({"files": [str(file)]}, str(file), as_json=as_json)


def _rules(path: Path | None) -> tuple[Rule, ...]:
    file = path or Settings.from_env(may_make_key=False).alerts_file
    try:
        return parser.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}.") from error
    except (InvalidRules, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} can't be used. {error}") from error


def _warnings(rules: Sequence[Rule]) -> list[str]:
    """Name the alerts that judge nothing yet. No mistakes: a flag may be made after its alerts."""
    try:
        app = application()
    except (SettingsError, SchemaError, DBAPIError):
        return []  # whoever checks a file needs no installation
    with app.app_context():
        with database.read_only() as session:
            flags = [each.flag for each in rollout_store.load_all(session)]
        database.db.engine.dispose()
    return [
        f"{each.name} judges nothing: no rollout is called {each.flag}.{_suggestion(each.flag, flags)}"
        for each in without_rollout(rules, flags)
    ]


def _suggestion(flag: str, flags: Sequence[str]) -> str:
    close = get_close_matches(flag, flags, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _budget(rule: Rule) -> str:
    return "" if rule.credits_budget is None else f", budget {rule.credits_budget:,} credits"


def _cohorts(budget: ErrorBudget) -> str:
    if not budget.cohorts:
        return ""
    all_of_them = budget.of_cohort(1)
    return f"; all its cohorts together {all_of_them.rollback or 0:.2%} and {all_of_them.hold or 0:.2%} more"


def _line(outcome: Outcome) -> str:
    verdict = outcome.verdict
    differs = f"expected {outcome.expected}, got {verdict.status}"
    return f"{outcome.at_seconds:g} s, {outcome.alert}: {differs}: {verdict.reason}"
