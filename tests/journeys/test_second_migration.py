"""A second migration in one file: two price calculators with their alerts and phases, guarded as the credits are."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from alerts import store
from alerts.analysis.attribution import Attribution
from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateStatus
from control_plane.core.phases import Phase, Plan, RolloutState
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.experiment import Experiment
from control_plane.experiments.migration import Migration
from control_plane.experiments.publication import run_and_count
from control_plane.experiments.registry import migrations, register_migration
from control_plane.platform.db.database import read_only, transaction
from flags import snapshot
from flags.evaluation.rollout_flag import EvaluationContext

PRICES = Migration.named("ENABLE_TIERED_PRICES", control="list", candidate="tiered", prefix="price")
ALERTS = """
alerts:
  price_failure: {threshold: 1%, window: 5m, severity: critical}
  price_difference: {threshold: 1%, window: 5m, severity: critical}
  credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}
"""
Price = Callable[[int], int]


def price(amount: int) -> int:
    return amount * 3


def failing(_amount: int) -> int:
    raise ZeroDivisionError("no tier")


def no_price(_amount: int) -> int:
    return -1


@pytest.fixture(autouse=True)
def guarded(app: Flask, now: datetime, tmp_path: Path) -> Iterator[None]:
    """Both rollouts at half of everyone, judged once."""
    everyone = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (50, 100), timedelta(days=1), served_minimum=20)
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERTS)
    with app.app_context():
        register_migration(PRICES)
        RULES_FILE.set(app, RulesFile(alerts, migrations))
        for flag in (PRICES.flag, CREDITS.flag):
            with transaction() as session:
                rollouts.plan(session, flag, Plan((everyone,), now), ChangeContext(now, "alice", "A new one."))
        run_guard(now, 1)
        yield


def sell(now: datetime, *, control: Price = price, candidate: Price = price) -> list[int | None]:
    """Ask a hundred users' prices a second later and let the guard look; None where a price could not be had."""
    experiment = Experiment(PRICES, control, candidate, check=lambda price: "no price" if price == -1 else None)
    prices: list[int | None] = []
    for user in (f"user-{number}" for number in range(100)):
        with read_only() as session:
            _, flag = snapshot.evaluate_now(session, PRICES.flag, EvaluationContext(user), now=now)
        try:
            prices.append(run_and_count(experiment, 5, candidate_serves=flag.value, account=user))
        except (ZeroDivisionError, ValueError):
            prices.append(None)
    run_guard(now + timedelta(seconds=1), 1)
    return prices


def states() -> tuple[RolloutState, RolloutState]:
    with read_only() as session:
        return rollouts.find(session, PRICES.flag).state, rollouts.find(session, CREDITS.flag).state


@pytest.mark.parametrize("fault", [failing, no_price])
def test_a_fault_in_the_candidate_rolls_back_its_flag_and_not_the_credits(now: datetime, fault: Price) -> None:
    prices = sell(now, candidate=fault)
    assert 30 < prices.count(15) < 70
    assert states() == (RolloutState.ROLLED_BACK, RolloutState.RUNNING)
    with read_only() as session:
        reason = rollouts.find(session, PRICES.flag).state_reason
        verdicts = {each.alert: each for each in store.latest_verdicts(session, PRICES.flag, attempt=1)}
        (untouched,) = store.latest_verdicts(session, CREDITS.flag, attempt=1)
    assert reason.startswith("price_failure: tiered failed")
    assert "Over its threshold, and tiered alone is to blame." in reason
    assert verdicts["price_failure"].attribution is Attribution.CANDIDATE_ONLY
    assert untouched.counts.total == 0
    assert sell(now + timedelta(seconds=2), candidate=fault) == [15] * 100, "nobody gets the candidate any more"


def test_a_wrong_price_that_nobody_was_charged_yet_rolls_back(now: datetime) -> None:
    sell(now, candidate=lambda amount: amount * 3 + amount % 2)
    assert states() == (RolloutState.ROLLED_BACK, RolloutState.RUNNING)


@pytest.mark.parametrize("fault", [failing, no_price])
def test_a_fault_in_the_control_alone_is_never_a_rollback(now: datetime, fault: Price) -> None:
    for second in (0, 2, 4):
        sell(now + timedelta(seconds=second), control=fault)
    assert states() == (RolloutState.RUNNING, RolloutState.RUNNING)


def test_the_gates_count_what_its_own_candidate_served(now: datetime) -> None:
    later = now + timedelta(minutes=1)
    run_guard(later, 1)
    assert sell(later) == [15] * 100
    with read_only() as session:
        found = {each.name: each for each in rollouts.gates(session, rollouts.find(session, PRICES.flag), later)}
    assert found["served"].status is GateStatus.OPEN
    assert found["served"].reason.startswith("tiered served ")


def test_a_cohort_of_its_own_is_named_when_the_candidate_fails_it(now: datetime) -> None:
    """Six users of Norway among six hundred others, in steps of a minute."""

    def broken_abroad(request: tuple[int, str]) -> int:
        if request[1] == "NO":
            raise ZeroDivisionError("no tier")
        return price(request[0])

    experiment = Experiment(PRICES, lambda request: price(request[0]), broken_abroad)
    for number in range(600):
        country = "NO" if number % 100 == 99 else "DE"
        try:
            run_and_count(
                experiment,
                (5, country),
                candidate_serves=number % 2 == 0,
                account=f"user-{number}",
                cohorts={"country": country},
            )
        except ZeroDivisionError:
            pytest.fail("legacy serves those")
    run_guard(now + timedelta(seconds=1), 1)
    with read_only() as session:
        verdicts = {each.alert: each for each in store.latest_verdicts(session, PRICES.flag, attempt=1)}
    assert verdicts["price_failure"].cohort == "All 6 operations of country NO failed in tiered."
    assert states()[0] in {RolloutState.HELD, RolloutState.ROLLED_BACK}
