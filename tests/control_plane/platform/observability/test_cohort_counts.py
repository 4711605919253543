"""Counts within cohorts, on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask

from control_plane.cohort_names import ACCOUNT, FAILED_BEFORE, Cohort, cohorts_of
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import account_failures, cohort_counts, signals
from control_plane.platform.observability.account_memory import BUSY_OUTCOMES
from control_plane.platform.observability.cohort_counts import (
    ACCOUNTS_MAX,
    FORGET_SECONDS,
    KNOWN_DIMENSIONS_MAX,
    NAMES_MAX,
    CohortCount,
    CohortSeries,
    KnownCohorts,
)
from control_plane.platform.observability.signals import BUFFER, Sample
from control_plane.platform.runtime import change_feed

SIGNAL = "price_failure"
STARTER, PRO = Cohort("plan", "starter"), Cohort("plan", "pro")
LATER = timedelta(seconds=cohort_counts.FLUSH_SECONDS)


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def record(bad: bool, account: str, *cohorts: Cohort, operation: str | None = None) -> None:
    signals.record(Sample(SIGNAL, bad, "new", "served", account, operation, cohorts))


def counts(*cohorts: Cohort) -> list[CohortCount | None]:
    with read_only() as session:
        found = cohort_counts.read(session)
    return [found.get(CohortSeries(SIGNAL, "new", cohort)) for cohort in cohorts]


def test_an_outcome_counts_in_each_of_its_cohorts(now: datetime) -> None:
    for number in range(4):
        record(number == 0, f"u{number}", STARTER, Cohort("near the limit"))
    record(False, "u9", PRO)
    signals.flush(now)
    assert counts(STARTER, PRO, Cohort("near the limit")) == [
        CohortCount(1, 4, 1),
        CohortCount(0, 1, 0),
        CohortCount(1, 4, 1),
    ]


def test_good_outcomes_alone_are_written_every_ten_seconds_and_bad_ones_at_once(now: datetime) -> None:
    record(False, "u1", STARTER)
    signals.flush(now)
    record(False, "u2", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(0, 1, 0)]
    record(True, "u3", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(1, 3, 1)]
    record(False, "u4", STARTER)
    signals.flush(now + LATER)
    assert counts(STARTER) == [CohortCount(1, 4, 1)]


def test_no_account_speaks_for_a_cohort(now: datetime) -> None:
    for _ in range(50):
        record(True, "broken", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(1, 1, 1)]
    for account in ("u1", "u2"):
        record(True, account, STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(3, 3, 3)]


def test_where_many_accounts_fail_everything_counts(now: datetime) -> None:
    for number in range(ACCOUNTS_MAX):
        record(True, f"u{number}", STARTER)
    signals.flush(now)
    for _ in range(7):
        record(True, "u1", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(ACCOUNTS_MAX + 7, ACCOUNTS_MAX + 7, ACCOUNTS_MAX)]


def test_a_retry_of_an_operation_counts_once(now: datetime) -> None:
    for _ in range(5):
        record(True, "u1", STARTER, operation="k1")
        signals.flush(now)
    assert counts(STARTER) == [CohortCount(1, 1, 1)]


def test_what_failed_before_is_a_cohort_from_the_next_operation_on(now: datetime) -> None:
    again = Cohort(FAILED_BEFORE)
    both_sides = [
        Sample(SIGNAL, True, "new", "served", "u1", None, (STARTER,)),
        Sample(SIGNAL, True, "old", "shadow", "u1", None, (STARTER,)),
    ]
    signals.record(*both_sides)
    signals.flush(now)
    assert counts(again) == [None], "neither side of the first failure had failed before"
    record(True, "u1", STARTER)
    record(False, "u2", STARTER)
    signals.flush(now)
    assert counts(again) == [CohortCount(1, 1, 1)]


def test_a_busy_account_is_a_cohort_under_a_hash(now: datetime) -> None:
    for _ in range(BUSY_OUTCOMES + 5):
        record(False, "secret-tenant", STARTER)
    signals.flush(now)
    with read_only() as session:
        (series,) = [each for each in cohort_counts.read(session) if each.cohort.dimension == ACCOUNT]
    assert "secret" not in series.cohort.name
    assert counts(series.cohort) == [CohortCount(0, 6, 0)]


def test_a_cohort_without_end_of_names_is_counted_for_the_first_ones(now: datetime) -> None:
    for number in range(NAMES_MAX + 20):
        record(False, f"u{number}", Cohort("city", str(number)), STARTER)
    signals.flush(now)
    with read_only() as session:
        found = [series for series in cohort_counts.read(session) if series.cohort.dimension == "city"]
    assert len(found) == NAMES_MAX
    assert counts(STARTER) == [CohortCount(0, NAMES_MAX + 20, 0)]


def test_what_could_not_be_written_is_written_next_time(now: datetime) -> None:
    def write_in_vain() -> None:
        with transaction() as session:
            signals.write(session, now)
            raise RuntimeError

    record(True, "u1", STARTER)
    record(False, "u2", STARTER)
    with pytest.raises(RuntimeError):
        write_in_vain()
    assert counts(STARTER) == [None]
    signals.flush(now + LATER)
    assert counts(STARTER) == [CohortCount(1, 2, 1)]


def test_what_is_not_counted_for_a_day_is_forgotten(now: datetime) -> None:
    record(False, "u1", STARTER)
    signals.flush(now)
    for seconds, expected in ((FORGET_SECONDS, CohortCount(0, 1, 0)), (FORGET_SECONDS + 1, None)):
        with transaction() as session:
            cohort_counts.forget(session, now + timedelta(seconds=seconds))
        assert counts(STARTER) == [expected]


def test_samples_without_cohorts_cost_the_cohorts_nothing(now: datetime) -> None:
    signals.record(Sample(SIGNAL, True, "new", account="u1"))
    assert not BUFFER.get().cohorts.is_due(now)


def test_cohorts_are_written_as_a_mapping() -> None:
    assert cohorts_of({"plan": "starter", "near the limit": ""}) == (STARTER, Cohort("near the limit"))


def test_dimensions_beyond_the_first_are_counted_nowhere_and_names_of_the_known_ones_still_are(now: datetime) -> None:
    for number in range(KNOWN_DIMENSIONS_MAX + 30):
        record(False, f"u{number}", Cohort(f"dimension {number}", "a"))
    record(True, "u1", Cohort("dimension 0", "b"))
    signals.flush(now)
    with read_only() as session:
        assert len(cohort_counts.read(session)) == KNOWN_DIMENSIONS_MAX + 1


def test_what_is_rolled_back_makes_no_cohort_full(now: datetime) -> None:
    def write_in_vain() -> None:
        with transaction() as session:
            signals.write(session, now)
            raise RuntimeError

    for number in range(ACCOUNTS_MAX):
        record(True, f"u{number}", STARTER)
    with pytest.raises(RuntimeError):
        write_in_vain()
    BUFFER.get().take()
    BUFFER.get().cohorts.take(now)
    for _ in range(9):
        record(True, "broken", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(1, 1, 1)]


def test_a_new_attempt_begins_with_no_cohort_full(now: datetime) -> None:
    for number in range(ACCOUNTS_MAX):
        record(True, f"u{number}", STARTER)
    signals.flush(now)
    with transaction() as session:
        account_failures.begin_attempt(session, [SIGNAL])
        change_feed.publish(session, "rollout", SIGNAL, now=now)
    for _ in range(9):
        record(True, "broken", STARTER)
    signals.flush(now)
    assert counts(STARTER) == [CohortCount(ACCOUNTS_MAX + 1, ACCOUNTS_MAX + 1, 1)]


def test_a_report_that_is_rolled_back_and_sent_again_names_nobody_as_failed_before(now: datetime) -> None:
    known = KnownCohorts()
    report = [[Sample(SIGNAL, True, "new", "served", "u1", None, (STARTER,))]]

    def add_in_vain() -> None:
        with transaction() as session:
            signals.add_samples(session, report, [], now, known=known)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_in_vain()
    with transaction() as session:
        signals.add_samples(session, report, [], now, known=known)
    assert counts(Cohort(FAILED_BEFORE), STARTER) == [None, CohortCount(1, 1, 1)]
    with transaction() as session:
        signals.add_samples(session, report, [], now, known=known)
    assert counts(Cohort(FAILED_BEFORE)) == [CohortCount(1, 1, 1)]


def test_good_outcomes_that_are_the_last_for_long_are_written_all_the_same(now: datetime) -> None:
    for account in ("u1", "u2"):
        record(False, account, STARTER)
        signals.flush(now)
    assert counts(STARTER) == [CohortCount(0, 1, 0)]
    signals.flush(now + LATER)
    assert counts(STARTER) == [CohortCount(0, 2, 0)]
    assert not BUFFER.get().filled
