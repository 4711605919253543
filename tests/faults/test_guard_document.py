"""What docs/guard.md says, over HTTP with the alerts.yaml that we ship, where no other test holds it to it so."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from alerts.analysis.rules import Per
from alerts.guard_job import run_guard
from alerts.notifications import store as notices
from control_plane import rollouts
from control_plane.core.phase_gates import OnBreach
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from credits_engine.engines import legacy, v2
from credits_engine.operations import execution
from tests.conftest import ROOT
from tests.faults.product import Product, always, failing

# On PostgreSQL the engines are the database's.
pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]

SHADOW, HALF, EVERYBODY = Position(0, 0), Position(3, 2), Position(3, 3)
WINDOW = timedelta(minutes=5, seconds=30)
FAILURE = "credit_consumption_failure"
PER_ACCOUNT = """
  failing_users:
    metric: credit_consumption_failure
    threshold: 1%
    window: 1h
    severity: info
    per: account
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings whose alerts.yaml is a copy that may be edited."""
    path = tmp_path / "alerts.yaml"
    path.write_text((ROOT / "alerts.yaml").read_text() + PER_ACCOUNT)
    return replace(settings, alerts_file=path)


@pytest.fixture
def product(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """Half of everyone is on v2, and all is well for a while."""
    with app.app_context():
        product = Product(app, monkeypatch, service_token, HALF)
        product.operate(100)
        yield product


def later(*, windows: int = 1) -> None:
    """Let the guard look in so many windows."""
    run_guard(datetime.now(UTC) + windows * WINDOW, 1)


def is_held(product: Product) -> bool:
    return product.rollout.state is RolloutState.HELD


def move(product: Product, position: Position, *, on_breach: OnBreach = OnBreach.ROLL_BACK) -> None:
    """Put the rollout at a position of a plan that answers a breach like this."""
    found = product.rollout
    phases = tuple(replace(phase, on_breach=on_breach) for phase in found.plan.phases)
    after = replace(found, plan=replace(found.plan, phases=phases), position=position, version=found.version + 1)
    with transaction() as session:
        assert rollout_store.compare_and_set(session, after, expected_version=found.version)
        change_feed.publish(session, rollouts.TOPIC, FLAG, now=datetime.now(UTC))
    product.watch()


def test_operations_of_v2_that_nobody_counts_hold_and_roll_back_after_two_windows(product: Product) -> None:
    for name in ("outcome_signals", "exempt_signals"):
        product.patch.setattr(execution, name, lambda _receipt: ())
    product.operate(20)
    for windows, state in ((1, RolloutState.HELD), (2, RolloutState.ROLLED_BACK)):
        for number in range(20):
            product.ask(f"u{number}")
        later(windows=windows)
        assert product.rollout.state is state
    assert "nothing was counted for" in product.rollout.state_reason


def test_a_hold_of_an_outage_ends_a_window_after_it(product: Product) -> None:
    product.engines(v2=failing(v2.decide, always), legacy_engine=failing(legacy.decide, always))
    product.operate(50)
    assert is_held(product)
    product.engines()
    product.operate(60)
    later()
    assert product.rollout.state is RolloutState.RUNNING


def test_where_nobody_is_exposed_in_production_v2_s_fault_holds(product: Product) -> None:
    move(product, SHADOW)
    product.engines(v2=failing(v2.decide, always))
    product.operate(40)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert "Nobody is exposed in production, so this holds." in product.rollout.state_reason


def test_a_plan_may_ask_for_one_step_back_which_the_second_breach_is_not(product: Product) -> None:
    move(product, HALF, on_breach=OnBreach.STEP_BACK)
    product.engines(v2=failing(v2.decide, always))
    while (found := product.rollout).attempt == 1:
        product.operate(5)
    assert (found.state, found.position) == (RolloutState.HELD, Position(3, 1))
    product.operate(100)
    assert product.rollout.state is RolloutState.ROLLED_BACK


def test_another_threshold_begins_new_evidence_and_the_hold_ends_a_calm_window_later(
    product: Product, settings: Settings
) -> None:
    product.engines(v2=failing(v2.decide, always), legacy_engine=failing(legacy.decide, always))
    product.operate(50)
    product.engines()
    text = settings.alerts_file.read_text()
    settings.alerts_file.write_text(text.replace("threshold: 1%", "threshold: 2%").replace("0.5%", "0.6%"))
    for _ in range(3):  # a file that may still be written is read when it has not changed for a look
        product.operate(5)
    assert is_held(product)
    later()
    assert product.rollout.state is RolloutState.RUNNING


def test_users_are_counted_once_an_hour_where_the_alert_says_so(product: Product) -> None:
    users = {f"u{number}" for number in range(5)}
    product.engines(v2=failing(v2.decide, lambda request: request.user_id in users))
    before = product.verdict("failing_users").counts
    for _ in range(3):
        for user in sorted(users):
            product.ask(user)
    product.watch()
    after = product.verdict("failing_users")
    assert (after.per, after.counts.bad - before.bad) == (Per.ACCOUNT, len(users))
    assert after.counts.total == before.total, "they had come in this hour"


def test_what_may_only_be_told_is_told_once_an_hour(product: Product) -> None:
    move(product, EVERYBODY)
    product.engines(legacy_engine=failing(legacy.decide, always))
    for _ in range(4):
        product.operate(30)
    assert product.rollout.state is RolloutState.RUNNING
    with read_only() as session:
        told = [each.title for each, _ in notices.latest(session, limit=20) if each.kind == "concern"]
    assert sum(each.startswith("credit_shadow_skipped: ") for each in told) == 1


def test_no_alert_holds_up_what_was_taken_out_of_the_file(product: Product, settings: Settings) -> None:
    product.engines(v2=failing(v2.decide, lambda request: request.user_id in {"u1", "u2", "u3"}))
    move(product, SHADOW)
    for user in ("u1", "u2", "u3"):
        for _ in range(3):
            product.ask(user)
    product.watch()
    assert product.rollout.state_reason.startswith(FAILURE)
    whole = settings.alerts_file.read_text()
    settings.alerts_file.write_text(
        whole.replace(f"  {FAILURE}:\n    threshold: 1%\n    window: 5m\n    severity: warning\n", "", 1)
    )
    for _ in range(3):
        product.watch()
    assert product.rollout.state is RolloutState.RUNNING
    with read_only() as session:
        assert rollouts.find(session, FLAG).state_reason == "No alert holds it any more."
