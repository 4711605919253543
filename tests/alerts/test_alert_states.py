"""What becomes of a fault that says nothing against v2 once it has passed, tick by tick, on both databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts.guard_job import run_guard
from control_plane.core.phases import RolloutState
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILED_V2_ONLY, FAILURE

WINDOW = timedelta(minutes=5)
WEBHOOK = "billing_webhook_failure"
SIDES = (("v2", "served"), ("legacy", "shadow"))


@dataclass
class Traffic:
    """Operations that both engines decide, and the guard that looks at them."""

    rollout: StoredRollout
    now: datetime

    def operate(self, operations: int, *, failing: tuple[str, ...] = (), pass_by: timedelta = WINDOW) -> RolloutState:
        """Count operations of as many accounts, which these engines fail, and look a time later."""
        self.now += pass_by
        for number in range(operations):
            account = f"u{number}"
            samples = [Sample(FAILURE, side in failing, side, role, account) for side, role in SIDES]
            if failing == ("v2",):
                samples.append(Sample(FAILED_V2_ONLY, bad=True, account=account))
            signals.record(*samples)
        run_guard(self.now, 1)
        return self.rollout.rollout.state

    def deliver(self, webhooks: int, *, bad: bool, pass_by: timedelta) -> RolloutState:
        """Count webhooks of Stripe's, which no engine serves, and look a time later."""
        self.now += pass_by
        signals.record(*(Sample(WEBHOOK, bad) for _ in range(webhooks)))
        run_guard(self.now, 1)
        return self.rollout.rollout.state


@pytest.fixture
def traffic(app: Flask, stored_rollout: StoredRollout, now: datetime) -> Iterator[Traffic]:
    """A hundred operations go well, and both engines fail the next fifty: held."""
    with app.app_context():
        traffic = Traffic(stored_rollout, now)
        traffic.operate(0)
        traffic.operate(100)
        assert traffic.operate(50, failing=("v2", "legacy")) is RolloutState.HELD
        yield traffic


@pytest.mark.parametrize("operations", [0, 1, 4])
def test_an_outage_of_both_is_not_rolled_back_in_the_quiet_after_it(traffic: Traffic, operations: int) -> None:
    for _ in range(3):
        assert traffic.operate(operations, pass_by=2 * WINDOW) is RolloutState.HELD


def test_the_hold_ends_a_window_after_the_outage_has(traffic: Traffic) -> None:
    assert traffic.operate(40, pass_by=timedelta(seconds=1)) is RolloutState.HELD
    assert traffic.operate(20) is RolloutState.RUNNING


def test_a_few_good_ones_are_no_end_of_an_outage(traffic: Traffic) -> None:
    for _ in range(4):
        traffic.operate(5)
        assert traffic.operate(2, failing=("v2", "legacy")) is RolloutState.HELD


def test_an_outage_that_comes_back_holds_again(traffic: Traffic) -> None:
    traffic.operate(60)
    assert traffic.operate(60) is RolloutState.RUNNING
    assert traffic.operate(50, failing=("v2", "legacy")) is RolloutState.HELD


def test_what_v2_alone_fails_after_an_outage_is_rolled_back(traffic: Traffic) -> None:
    traffic.operate(60)
    assert traffic.operate(60) is RolloutState.RUNNING
    assert traffic.operate(10, failing=("v2",)) is RolloutState.ROLLED_BACK


def test_a_fault_that_v2_has_alone_while_held_for_an_outage_is_rolled_back(traffic: Traffic) -> None:
    assert traffic.operate(20, failing=("v2",), pass_by=2 * WINDOW) is RolloutState.ROLLED_BACK


@pytest.fixture(params=[3, 20])
def webhooks(
    app: Flask, stored_rollout: StoredRollout, now: datetime, request: pytest.FixtureRequest
) -> Iterator[Traffic]:
    """So many webhooks in a row failed: held, and nothing says that it is v2's fault."""
    with app.app_context():
        traffic = Traffic(stored_rollout, now)
        traffic.deliver(20, bad=False, pass_by=WINDOW)
        assert traffic.deliver(request.param, bad=True, pass_by=WINDOW) is RolloutState.HELD
        yield traffic


def test_a_hold_that_blames_nobody_ends_a_window_after_its_fault_at_four_a_minute(webhooks: Traffic) -> None:
    states = [webhooks.deliver(4, bad=False, pass_by=timedelta(minutes=1)) for _ in range(40)]
    assert states[5] is RolloutState.HELD
    assert states[-1] is RolloutState.RUNNING


def test_a_fault_that_goes_on_holds_though_it_blames_nobody(webhooks: Traffic) -> None:
    for _ in range(20):
        webhooks.deliver(6, bad=False, pass_by=timedelta(minutes=1))
        assert webhooks.deliver(2, bad=True, pass_by=timedelta(minutes=1)) is RolloutState.HELD
