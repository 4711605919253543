"""The rollout of one environment is judged by what comes from there, and by nothing else: on both databases."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import gates, thresholds
from alerts.definitions.parser import parse
from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.guard_job import run_guard
from alerts.overrides import approval
from alerts.overrides.approval import OverrideRequest
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.checklists import checks
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Phase, Plan, Rollout, RolloutState
from control_plane.core.transitions import Transition
from control_plane.experiments.migration import Migration
from control_plane.experiments.registry import register_migration, registered_migrations
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.platform.settings import Settings
from control_plane.rollouts import archive
from control_plane.signal_counts import Counts
from tests.alerts.inbound.test_experiments_api import FAILED, FLAG, GOOD, RESULT
from tests.applications import application

STAGING, CANARY = f"{FLAG}@staging", f"{FLAG}@canary"
SECOND = timedelta(seconds=1)
ALERTS = f"""
migrations:
  {FLAG}: {{control: list, candidate: tiered, prefix: price}}
alerts:
  price_failure: {{threshold: 1%, window: 5m, severity: critical}}
  price_difference: {{threshold: 20%, window: 5m, severity: warning}}
  staging_alone: {{metric: price_shadow_skipped, threshold: 5%, window: 5m, severity: info, environments: [staging]}}
  canary_alone: {{metric: price_slow, threshold: 50ms, window: 5m, severity: warning, environments: [canary]}}
  users: {{metric: price_failure, threshold: 2%, window: 1h, severity: warning, per: account}}
"""
Report = Callable[..., int]


def everyone(now: datetime, environment: str = "production") -> Plan:
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (50, 100), timedelta(0), served_minimum=20)
    return Plan((phase,), now, environment=environment)


@pytest.fixture
def planned(app: Flask, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """A flag at 50 % of production, and at 50 % of staging and of canary by rollouts of their own."""
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERTS)
    monkeypatch.setattr(clock, "now", lambda: now)
    with app.app_context():
        RULES_FILE.set(app, RulesFile(alerts, registered_migrations))
        signals.count_by_account(thresholds.signals_by_account(RULES_FILE.get().rules))
        change = ChangeContext(now, "alice", "As agreed.")
        with transaction() as session:
            rollouts.plan(session, FLAG, everyone(now), change)
            for name in (STAGING, CANARY):
                plan = everyone(now, name.partition("@")[2])
                assert isinstance(rollouts.plan(session, name, plan, change), Transition)
        run_guard(now, 1)
        yield now


@pytest.fixture
def report(app: Flask, planned: datetime, make_token: Callable[..., str]) -> Report:
    """Reports so many results of one environment, as its service does; returns the status."""
    tokens = {each: make_token("service", environment=each) for each in ("production", "staging", "canary", "qa")}
    client, batches = app.test_client(), iter(range(10_000_000, 10_001_000))

    def report(environment: str, number: int, *, fails: bool = False, differs: bool = False) -> int:
        outcome = {"candidate": FAILED, "equal": None} if fails else {"candidate": GOOD, "equal": not differs}
        results = [RESULT | outcome | {"account": f"{account:016x}"} for account in range(number)]
        headers = {"Authorization": f"Bearer {tokens[environment]}"}
        body = {"batchId": str(next(batches)), "results": results}
        return client.post(f"/api/experiments/{FLAG}/results", json=body, headers=headers).status_code

    return report


def found(name: str) -> Rollout:
    with read_only() as session:
        return rollouts.find(session, name)


def states() -> tuple[RolloutState, ...]:
    return tuple(found(name).state for name in (FLAG, STAGING, CANARY))


def gate(which: Callable[..., GateResult], name: str, now: datetime) -> GateResult:
    with read_only() as session:
        return which(session, rollouts.find(session, name), now)


def totals() -> dict[SeriesKey, Counts]:
    with read_only() as session:
        return signals.totals(session)


@pytest.mark.parametrize("failing", ["production", "staging", "canary"])
def test_what_fails_in_one_environment_rolls_back_that_one_alone(
    planned: datetime, report: Report, failing: str
) -> None:
    for environment in ("production", "staging", "canary"):
        assert report(environment, 40, fails=environment == failing) == 202
    done = run_guard(planned + SECOND, 1)
    name = FLAG if failing == "production" else f"{FLAG}@{failing}"
    rolled_back = {FLAG, CANARY} if failing == "production" else {name}
    assert [each.after.flag for each in done] == [name]
    assert {each for each in (FLAG, STAGING, CANARY) if found(each).latched} == rolled_back
    assert found(name).state_reason.startswith(f"price_failure{'' if name == FLAG else f'@{failing}'}: ")


def test_counts_of_environments_never_mix(report: Report) -> None:
    report("production", 3)
    report("staging", 5, fails=True)
    report("canary", 7)
    served = {key.signal: count for key, count in totals().items() if (key.engine, key.role) == ("tiered", "served")}
    assert served["price_failure"] == Counts(0, 3)
    assert served["price_failure@environment=staging"].total == 5
    assert served["price_failure@environment=canary"] == Counts(0, 7)


def test_the_gates_of_one_environment_read_its_own_evidence(
    planned: datetime, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = planned + timedelta(minutes=2)  # what a step served counts from its first full minute on
    monkeypatch.setattr(clock, "now", lambda: later)
    report("production", 30)
    run_guard(later, 1)
    assert gate(gates.served, FLAG, later).status is GateStatus.OPEN
    assert gate(gates.served, STAGING, later).reason == "tiered served 0 of the 20 operations that this step must see."
    assert gate(gates.safety, STAGING, later).status is GateStatus.UNKNOWN
    for _ in range(2):
        report("staging", 400)
    run_guard(later + SECOND, 1)
    assert gate(gates.served, STAGING, later).status is GateStatus.OPEN
    later += timedelta(hours=1)  # as accounts count for safety once their hour is over
    run_guard(later, 1)
    assert gate(gates.guardrails, STAGING, later).status is GateStatus.OPEN
    assert gate(gates.safety, STAGING, later).status is GateStatus.OPEN
    assert gate(gates.safety, CANARY, later).status is GateStatus.UNKNOWN


def test_a_difference_there_holds_it_until_the_evidence_is_gone_and_closes_its_gates(
    planned: datetime, report: Report
) -> None:
    report("staging", 12, differs=True)
    run_guard(planned + SECOND, 1)
    assert states()[0] is states()[2] is RolloutState.RUNNING
    assert states()[1] is not RolloutState.RUNNING
    assert gate(gates.guardrails, STAGING, planned).status is GateStatus.CLOSED
    assert gate(gates.guardrails, FLAG, planned).status is GateStatus.OPEN


def test_a_gate_says_which_alerts_know_nothing_of_one_environment(planned: datetime, report: Report) -> None:
    """Of the whole service, books and billing nothing tells where it comes from: an open gate must not seem to."""
    report("staging", 1)
    run_guard(planned + SECOND, 1)
    errors = (
        f"alerts: {{errors: {{metric: api_error_rate, flag: {FLAG}, threshold: 1%, window: 5m, severity: critical}}}}"
    )
    RULES_FILE.get().rules = (*RULES_FILE.get().rules, *parse(errors, registered_migrations()))
    found = gate(gates.guardrails, STAGING, planned)
    assert found.status is GateStatus.OPEN
    assert found.reason.endswith("What errors would say of staging is not known: they judge production.")
    assert "not known" not in gate(gates.guardrails, FLAG, planned).reason


def test_an_alert_may_be_of_some_environments_alone(planned: datetime, report: Report) -> None:
    for environment in ("production", "staging", "canary"):
        report(environment, 1)
    run_guard(planned + SECOND, 1)
    judged = {name: set(gate(gates.guardrails, name, planned).evidence) for name in (FLAG, STAGING, CANARY)}
    everywhere = {"price_failure", "price_difference", "users"}
    assert judged == {
        FLAG: everywhere,
        STAGING: {f"{each}@staging" for each in (*everywhere, "staging_alone")},
        CANARY: {f"{each}@canary" for each in (*everywhere, "canary_alone")},
    }


def test_accounts_are_counted_by_environment_too(report: Report) -> None:
    report("staging", 6)
    report("production", 2)
    counted = {key.signal: count for key, count in totals().items() if key.signal.endswith("@accounts")}
    assert counted["price_failure@environment=staging@accounts"].total == 6
    assert counted["price_failure@accounts"].total == 2


def test_an_environment_without_a_rollout_of_its_own_is_no_evidence_here(planned: datetime, report: Report) -> None:
    assert report("qa", 1) == 403
    change = ChangeContext(planned, "alice", "Together again.")
    with transaction() as session:
        assert isinstance(archive.delete(session, STAGING, change, expected_version=1, confirm_losing=True), Transition)
    assert report("staging", 1) == 403


def test_a_new_attempt_begins_with_no_evidence(planned: datetime, report: Report) -> None:
    report("staging", 40, fails=True)
    run_guard(planned + SECOND, 1)
    later = planned + timedelta(hours=2)
    with transaction() as session:
        change = ChangeContext(later, "alice", "Mended.")
        rearmed = rollouts.rearm(session, STAGING, change, expected_version=found(STAGING).version)
    assert isinstance(rearmed, Transition)
    assert run_guard(later + SECOND, 1) == []
    assert found(STAGING).state is RolloutState.RUNNING


def test_an_alert_of_one_environment_is_overridden_there_alone(planned: datetime, report: Report) -> None:
    with transaction() as session:
        wish = OverrideRequest(STAGING, "price_difference@staging", 30, "A known difference.")
        approval.grant(session, RULES_FILE.get().rules, wish, now=planned, actor="alice")
    for environment in ("staging", "canary"):
        report(environment, 40, differs=True)
    run_guard(planned + SECOND, 1)
    assert states()[1] is RolloutState.RUNNING
    assert states()[2] is not RolloutState.RUNNING


def test_a_process_counts_for_the_rollout_that_decides_in_its_environment(settings: Settings, now: datetime) -> None:
    prices = Migration.named(FLAG, control="list", candidate="tiered", prefix="price")
    failure = Sample("price_failure", bad=False, engine="tiered")
    change = ChangeContext(now, "alice", "As agreed.")
    with application(replace(settings, environment="staging")) as app, app.app_context():
        register_migration(prices)
        with transaction() as session:
            rollouts.plan(session, FLAG, everyone(now), change)
        thresholds.refresh(now)
        signals.record(failure)
        with transaction() as session:
            rollouts.plan(session, STAGING, everyone(now, "staging"), change)
        thresholds.refresh(now)
        signals.record(failure, Sample("database_error", bad=False))
        signals.flush(now)
        counted = {key.signal for key in totals()}
    assert counted == {"price_failure", "price_failure@environment=staging", "database_error"}


def test_items_of_a_checklist_tick_by_the_alerts_of_the_environment(planned: datetime, report: Report) -> None:
    def ticked(name: str, check: str) -> bool | None:
        with read_only() as session:
            return checks.run(session, rollouts.find(session, name), check, planned).passed

    report("production", 400)
    run_guard(planned + SECOND, 1)
    assert [ticked(FLAG, "below:price_failure"), ticked(STAGING, "below:price_failure")] == [True, None]
    report("staging", 400)
    run_guard(planned + 2 * SECOND, 1)
    assert ticked(STAGING, "below:price_failure")
    assert ticked(STAGING, "alert:price_failure,staging_alone")
    assert ticked(CANARY, "alert:price_failure,staging_alone") is False
    assert ticked(STAGING, "books") is None


def test_pages_show_what_judges_each_environment(
    planned: datetime, report: Report, sign_in: Callable[[str], FlaskClient]
) -> None:
    report("staging", 40, fails=True)
    run_guard(planned + SECOND, 1)
    victor = sign_in("victor")
    assert "price_failure@staging" in victor.get("/alerts").text
    assert "price_failure@staging" in victor.get(f"/rollouts/{STAGING}").text
    assert victor.get("/alerts/price_failure@staging").status_code == 200
    assert "Nothing guards" not in victor.get("/alerts").text
