"""What the guard keeps of cohorts, on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts import cohort_store
from alerts.analysis.cohorts import CohortCounts, CohortMemory
from alerts.analysis.rules import Rule
from alerts.analysis.sequential_test import ATTEMPT_SECONDS
from alerts.cohort_store import CohortUpdate
from alerts.definitions.parser import parse
from control_plane.cohort_names import Cohort
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.signal_counts import Counts

(RULE,) = parse("alerts: {credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}}")
STARTER, NEAR = Cohort("plan", "starter"), Cohort("near the limit")


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def memory(weight: float, bad: int = 0) -> CohortMemory:
    return CohortMemory(weight, CohortCounts(Counts(bad, 10), Counts(0, 10), bad))


def remember(now: datetime, *known: tuple[Cohort, CohortMemory], rule: Rule = RULE, attempt: int = 1) -> None:
    with transaction() as session:
        cohort_store.remember(session, FLAG, [CohortUpdate(rule, attempt, *each) for each in known], now=now)


def memories(attempt: int = 1) -> dict[Cohort, CohortMemory]:
    with read_only() as session:
        return cohort_store.memories(session, FLAG, attempt=attempt).get((RULE.name, RULE.fingerprint), {})


def test_the_cohorts_of_an_attempt_come_back_the_first_one_first(now: datetime) -> None:
    remember(now, (STARTER, memory(0.1)), (NEAR, memory(0.25)))
    remember(now, (STARTER, memory(0.1, bad=4)))
    assert list(memories().items()) == [(NEAR, memory(0.25)), (STARTER, memory(0.1, bad=4))]
    assert memories(attempt=2) == {}


def test_what_has_not_changed_for_an_attempt_is_forgotten(now: datetime) -> None:
    remember(now, (STARTER, memory(0.1)))
    for seconds, left in ((ATTEMPT_SECONDS, 1), (ATTEMPT_SECONDS + 1, 0)):
        with transaction() as session:
            cohort_store.forget(session, now + timedelta(seconds=seconds))
        assert len(memories()) == left


def test_accounts_are_forgotten_with_their_counts_after_a_day(now: datetime) -> None:
    remember(now, (STARTER, memory(0.1)), (Cohort("account", "a1b2…"), memory(0.05)))
    with transaction() as session:
        cohort_store.forget(session, now + timedelta(days=1, seconds=1))
    assert list(memories()) == [STARTER]
