"""What is said of a release's safety: the certificate, the chance, when it is due, and a step that got worse."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.analysis.rules import Per
from alerts.analysis.safety_evidence import SafetyEvidence, certificate, safety_evidence
from control_plane.signal_counts import Counts
from tests.alerts.analysis.guarded_flag import FAILURE, VARIANCE

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1).total_seconds()


def evidence_of(
    during: Counts, *, before: Counts | None = None, days: float = 1, risk: float | None = None
) -> SafetyEvidence:
    return safety_evidence(FAILURE, before or Counts(), during, seconds=days * DAY, risk=risk, now=NOW)


def test_the_certificate_says_how_much_is_missing() -> None:
    missing, granted = certificate(FAILURE, Counts(0, 20)), certificate(FAILURE, Counts(0, 367))

    assert (missing.granted, missing.clean_outcomes_needed) == (False, 347)
    assert missing.reason == "Not shown yet to be below 1%: 0 of 20 (0%) were bad; 347 more good ones would show it."
    assert (granted.granted, granted.clean_outcomes_needed) == (True, 0)
    assert granted.reason == "Shown to be below 1%: 0 of 367 (0%) were bad."


def test_of_an_alert_per_account_it_speaks_of_users() -> None:
    by_account = replace(FAILURE, per=Per.ACCOUNT)
    assert "0 of 20 users (0%) were bad" in certificate(by_account, Counts(0, 20)).reason


def test_a_tripwire_asks_for_no_certificate_it_could_never_get() -> None:
    assert certificate(replace(FAILURE, threshold=0.0), Counts()).clean_outcomes_needed is None


def test_it_says_when_the_certificate_is_due_as_the_traffic_is() -> None:
    found = evidence_of(Counts(0, 67), days=2)
    assert not found.is_sufficient
    assert "300 more good ones would show it. At 34 a day that is about 2026-12-10." in found.reason


def test_a_date_too_far_away_is_said_as_such_and_none_is_made_up() -> None:
    assert (
        "more than ten years"
        in safety_evidence(VARIANCE, Counts(), Counts(0, 1), seconds=30 * DAY, risk=None, now=NOW).reason
    )
    assert "a day" not in evidence_of(Counts(0, 5), days=0.001).reason
    assert "a day" not in evidence_of(Counts(), days=5).reason


def test_an_owner_may_take_a_risk_in_the_plan() -> None:
    few = Counts(0, 140)
    assert not evidence_of(few).is_sufficient
    assert not evidence_of(few, risk=0.05).is_sufficient
    taken = evidence_of(few, risk=0.1)
    assert taken.is_sufficient
    assert "The chance that it is above 1% is 9.4%, and the plan takes 10%." in taken.reason
    assert taken.to_json()["accepted_chance"] == 0.1


def test_a_risk_is_due_sooner_than_the_certificate() -> None:
    assert "about 2026-12-05" in evidence_of(Counts(0, 40), days=1, risk=0.05).reason
    assert "about 2026-12-09" in evidence_of(Counts(0, 40), days=1).reason


@pytest.mark.parametrize(("bad", "worse"), [(0, False), (2, False), (9, True), (14, True)])
def test_a_step_that_turned_bad_undoes_what_was_shown_before(bad: int, worse: bool) -> None:
    found = evidence_of(Counts(bad, 700), before=Counts(5, 5000), risk=0.2)
    assert found.certificate.granted
    assert (found.is_worse, found.is_sufficient) == (worse, not worse)
    assert ("worse in this step" in found.reason) is worse


def test_a_step_as_good_as_those_before_it_is_not_worse() -> None:
    assert not evidence_of(Counts(6, 700), before=Counts(40, 5000)).is_worse
    assert not evidence_of(Counts(3, 20)).is_worse, "there is nothing to compare the first step with"
    assert not safety_evidence(
        replace(FAILURE, threshold=0.0), Counts(0, 9), Counts(1, 9), seconds=DAY, risk=None, now=NOW
    ).is_worse


@pytest.mark.parametrize(
    ("during", "above"),
    [(Counts(3, 240), False), (Counts(4, 240), True), (Counts(7, 700), False), (Counts(8, 700), True)],
)
def test_a_step_that_is_likely_above_by_itself_is_not_left(during: Counts, above: bool) -> None:
    found = evidence_of(during, before=Counts(28, 5600), risk=0.2)
    assert found.certificate.granted, "by what was shown before"
    assert found.is_sufficient is not above
    assert ("likely above 1% in this step" in found.reason) is above


def test_nothing_counted_is_said_as_such() -> None:
    found = evidence_of(Counts())
    assert found.reason == (
        "credit_consumption_failure: Not shown yet to be below 1%: nothing was counted; 367 good ones would show it."
    )
    assert not found.is_sufficient
