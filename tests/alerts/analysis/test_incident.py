"""What people are told that an alert found: in words, with the names of the migration, and only of the candidate."""

from datetime import UTC, datetime

import pytest

from alerts.analysis.attribution import Attribution
from alerts.analysis.incident import PHRASES, incident_sentence, is_incident
from alerts.analysis.metrics import METRICS
from alerts.analysis.verdicts import Status, Verdict
from control_plane.experiments.credits import CREDITS
from control_plane.signal_counts import Counts

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WINDOW = Counts(26, 7010)


def verdict(
    alert: str,
    status: Status = Status.ROLLBACK,
    attribution: Attribution = Attribution.CANDIDATE_ONLY,
    window: Counts = WINDOW,
) -> Verdict:
    return Verdict(alert, status, "", NOW, Counts(30, 9000), window, 300.0, 0.01, "1%", 5.0, 2.8, attribution)


@pytest.mark.parametrize(
    ("alert", "sentence"),
    [
        ("credit_variance", "v2 answered 26 of 7,010 operations differently from legacy."),
        ("credit_consumption_failure", "v2 failed 26 of 7,010 operations."),
        ("credit_serving_failure", "v2 failed 26 of the 7,010 operations that it served."),
        ("credit_drift", "v2 charges 0.371 % more or less than legacy on average."),
        ("credit_double_charge", "An operation was charged twice."),
        ("an_alert_of_ours", "an_alert_of_ours is over its threshold: 26 of 7,010 were bad."),
    ],
)
def test_it_says_what_was_wrong_and_how_often(alert: str, sentence: str) -> None:
    assert incident_sentence(verdict(alert), CREDITS) == sentence


def test_the_alert_of_one_environment_says_the_same_with_the_names_of_the_migration() -> None:
    said = incident_sentence(verdict("credit_variance@staging"), CREDITS.in_environment("staging"))
    assert said == "v2 answered 26 of 7,010 operations differently from legacy."


def test_the_alert_of_a_flag_without_a_migration_names_no_engine() -> None:
    said = incident_sentence(verdict("credit_drift"), None)
    assert said == "the new version charges 0.371 % more or less than the old version on average."


@pytest.mark.parametrize("window", [Counts(), Counts(1, 1), Counts(0, 500)])
def test_where_the_window_holds_nothing_bad_or_hardly_anything_the_attempt_tells(window: Counts) -> None:
    assert "30 of 9,000" in incident_sentence(verdict("api_error_rate", window=window), CREDITS)


@pytest.mark.parametrize(
    ("status", "attribution", "expected"),
    [
        (Status.ROLLBACK, Attribution.CANDIDATE_ONLY, True),
        (Status.HOLD, Attribution.UNKNOWN, True),
        (Status.HOLD, Attribution.CONTROL, False),
        (Status.HOLD, Attribution.SHARED, False),
        (Status.BLIND, Attribution.UNKNOWN, False),
    ],
)
def test_nothing_is_said_of_the_candidate_that_it_did_not_do(
    status: Status, attribution: Attribution, expected: bool
) -> None:
    assert is_incident(verdict("credit_variance", status, attribution)) is expected


def test_every_phrase_is_about_a_metric_that_there_is() -> None:
    assert set(PHRASES) <= set(METRICS)
