"""Alerts per account, on both databases: users with a bad outcome in an hour, among all users of that hour."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from alerts import gates, store, thresholds
from alerts.analysis.attribution import Attribution
from alerts.analysis.rules import Rule
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions import rules_file
from alerts.definitions.parser import parse
from alerts.guard_job import run_guard
from alerts.notifications import store as notices
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.cohort_names import Cohort
from control_plane.core.phases import Position, Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.test_guard import exposed, stand_at
from tests.credit_signals import FAILED_LEGACY_ONLY, FAILED_V2_ONLY, FAILURE, ROUTED

__all__ = ["exposed"]

TEXT = "alerts: {credit_consumption_failure: {threshold: %s, window: 1h, severity: critical, per: account}}"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def begin(exposed: None, now: datetime) -> datetime:
    """The beginning of an hour in which the shipped alert counts by account; judged once."""
    del exposed
    at = now.replace(minute=0, second=0, microsecond=0) + HOUR
    put(parse(TEXT % "1%"))
    run_guard(at, 1)
    return at


def put(rules: tuple[Rule, ...]) -> None:
    """Put alerts in force in this process."""
    rules_file.current().rules = rules
    signals.count_by_account(thresholds.signals_by_account(rules))


def operate(account: int, *, v2: bool = True, legacy: bool = True, times: int = 1, plan: str = "") -> None:
    """Run operations that each engine answers well, or fails, of whoever has a plan."""
    name, cohorts = f"tenant {account}", (Cohort("plan", plan),) if plan else ()
    for _ in range(times):
        signals.record(
            Sample(FAILURE, not v2, "v2", "served", name, cohorts=cohorts),
            Sample(FAILURE, not legacy, "legacy", "shadow", name, cohorts=cohorts),
        )
        if v2 != legacy:
            signals.record(Sample(FAILED_LEGACY_ONLY if v2 else FAILED_V2_ONLY, bad=True, account=name))


def judge(at: datetime) -> Verdict:
    run_guard(at, 1)
    with read_only() as session:
        (found,) = [
            each for each in store.latest_verdicts(session, FLAG, attempt=rollout().attempt) if each.alert == FAILURE
        ]
    return found


def rollout() -> Rollout:
    with read_only() as session:
        return rollouts.find(session, FLAG)


def test_busy_tenants_count_once_and_a_fault_of_all_rolls_back_at_once(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant, times=15)
    assert judge(begin + MINUTE).counts.total == 20
    for tenant in range(4):
        operate(tenant, v2=False, times=5)
    assert rollout().state is RolloutState.RUNNING
    verdict = judge(begin + 2 * MINUTE)
    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)
    assert rollout().state is RolloutState.ROLLED_BACK
    assert "v2 failed operations of 4 of 20 users." in rollout().state_reason
    with read_only() as session:
        notice = notices.latest(session, limit=1)[0][0]
    assert "Observed: 4 of 20 (20%) since the attempt began, each user once an hour, 4 of 20 users (20%)" in notice.body
    assert "4 of 20 users (20%) were bad in the last 1h" in verdict.conclusion
    assert "1% of the users of an hour is allowed" in verdict.conclusion


def test_one_broken_account_moves_nothing_however_long_it_goes_on(begin: datetime) -> None:
    for hour in range(10):
        for tenant in range(12):
            operate(tenant, v2=tenant != 3)
        verdict = judge(begin + hour * HOUR + MINUTE)
        assert verdict.status in (Status.OK, Status.WATCH)
    assert verdict.counts.bad <= 2
    assert rollout().state is RolloutState.RUNNING


def test_what_both_engines_fail_holds_and_is_told_as_shared(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant, v2=tenant > 10, legacy=tenant > 10)
    verdict = judge(begin + MINUTE)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.SHARED)


def test_what_legacy_alone_fails_is_nothing_against_v2(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant, legacy=tenant > 10)
    verdict = judge(begin + MINUTE)
    assert (verdict.counts.bad, verdict.counts.total, rollout().state) == (0, 20, RolloutState.RUNNING)


def test_who_came_before_the_threshold_was_changed_may_still_turn_bad(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant)
    judge(begin + MINUTE)
    put(parse(TEXT % "2%"))
    assert judge(begin + 2 * MINUTE).counts.total == 20
    operate(1, v2=False)
    assert (judge(begin + 3 * MINUTE).counts.bad, judge(begin + 3 * MINUTE).counts.total) == (1, 20)


def test_a_new_attempt_counts_the_users_of_its_hour_anew(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant, v2=tenant > 10)
    judge(begin + MINUTE)
    again = begin + HOUR + 10 * MINUTE
    for tenant in range(20):
        operate(tenant)
    run_guard(again - MINUTE, 1)
    with transaction() as session:
        context = ChangeContext(again, "alice", "Fixed in 2.1.")
        rollouts.rearm(session, FLAG, context, expected_version=rollouts.find(session, FLAG).version)
    stand_at(Position(3, 0))
    run_guard(again, 1)
    for tenant in range(20):
        operate(tenant, v2=tenant > 5)
    verdict = judge(again + MINUTE)
    assert (verdict.counts.bad, verdict.counts.total, verdict.status) == (6, 20, Status.ROLLBACK)


def test_what_turned_bad_in_the_last_second_of_an_hour_is_of_that_hour(begin: datetime) -> None:
    for tenant in range(20):
        operate(tenant)
    judge(begin + MINUTE)
    operate(1, v2=False)
    signals.flush(begin + HOUR - SECOND)
    operate(2, v2=False)
    operate(3)
    verdict = judge(begin + HOUR + SECOND)
    assert (verdict.counts.bad, verdict.counts.total) == (2, 22)


def test_the_hour_that_runs_shows_no_safety(begin: datetime) -> None:
    put(tuple(replace(rule, threshold=0.2, threshold_text="20%") for rule in parse(TEXT % "1%")))
    judge(begin + SECOND)
    for tenant in range(60):
        operate(tenant)
    judge(begin + MINUTE)
    with read_only() as session:
        assert "nothing was counted" in gates.safety(session, rollout(), begin + 2 * MINUTE).reason
        gate = gates.safety(session, rollout(), begin + HOUR + MINUTE)
    figures = gate.evidence[FAILURE]
    assert isinstance(figures, dict)
    assert figures["shown_safe"]


def test_users_who_act_on_and_on_are_no_silence(begin: datetime) -> None:
    for minute in range(0, 180, 5):
        signals.record(Sample(ROUTED, bad=False, engine="v2"))
        operate(1)
        verdict = judge(begin + minute * MINUTE)
        assert verdict.status is not Status.BLIND


def test_the_plan_whose_users_fail_is_named_and_acts_for_nobody(begin: datetime) -> None:
    """Cohorts are counted by operation: one explains a breach of an alert per account, and is none of its own."""
    for tenant in range(40):
        operate(tenant, times=3, plan="pro")
    for tenant in range(40, 46):
        operate(tenant, v2=False, times=4, plan="starter")
    verdict = judge(begin + MINUTE)
    assert verdict.status is Status.ROLLBACK
    assert verdict.reason.startswith("All 24 operations of plan starter failed in v2.")
    assert rollout().state_reason.count("plan starter") == 1


def test_a_plan_that_fails_below_the_threshold_of_users_does_nothing(begin: datetime) -> None:
    put(parse(TEXT % "30%"))
    judge(begin + SECOND)
    for tenant in range(40):
        operate(tenant, times=3, plan="pro")
    for tenant in range(40, 46):
        operate(tenant, v2=False, times=20, plan="starter")
    verdict = judge(begin + MINUTE)
    assert (verdict.status, verdict.cohort, verdict.notifies) == (Status.OK, "", False)
