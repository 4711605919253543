"""Counts of the past under another threshold: what would have happened, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.analysis.backtest import Backtest, backtest
from alerts.analysis.rules import Rule, error_budgets
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts

BEGAN = datetime(2026, 8, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=5)


def rule(threshold: str, action: str = "rollback") -> Rule:
    values = f"threshold: {threshold}, window: 10m, severity: critical, action: {action}"
    return parse(f"alerts:\n  failing: {{{values}, metric: credit_consumption_failure_rate}}\n")[0]


def ran(threshold: str, *bad: int, burst_size: float = 1.0, action: str = "rollback") -> Backtest:
    """Return the outcome of a hundred operations each five minutes, with so many failures in them."""
    wanted = rule(threshold, action)
    history = [(BEGAN + index * MINUTE, Counts(each, 100)) for index, each in enumerate(bad)]
    return backtest(wanted, history, budget=error_budgets([wanted])[wanted.name], burst_size=burst_size)


def test_a_lower_threshold_would_have_acted_where_a_higher_one_would_not() -> None:
    failures = [0] * 20 + [3] * 20
    assert ran("10%", *failures).rolled_back_at is None
    low = ran("0.5%", *failures)
    assert low.held_at is not None
    assert low.rolled_back_at is not None
    assert BEGAN + 20 * MINUTE <= low.held_at <= low.rolled_back_at


def test_the_highest_rate_is_that_of_one_window() -> None:
    run = ran("10%", 0, 4, 6, 0, 1)
    assert (run.highest, run.counts) == (Counts(10, 200), Counts(11, 500))


def test_bursts_take_more_evidence() -> None:
    failures = [0, 0, 12, 0, 0, 0]
    assert ran("1%", *failures).held_at is not None
    assert ran("1%", *failures, burst_size=5.0).held_at is None


def test_an_alert_that_only_notifies_never_rolls_back() -> None:
    run = ran("0.5%", *[5] * 50, action="notify")
    assert run.held_at is not None
    assert run.rolled_back_at is None


@pytest.mark.parametrize("action", ["rollback", "notify"])
def test_nothing_that_happened_is_no_outcome(action: str) -> None:
    assert ran("1%", action=action) == Backtest(Counts(), Counts(), None, None)
