from dataclasses import replace
from typing import Any

import pytest

from alerts.analysis.rule_counts import sum_counts
from alerts.analysis.rules import ATTEMPT_ALPHA, Action, Rule, alphas, fingerprint
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts
from tests.credit_signals import FAILED_LEGACY_ONLY, FAILED_V2_ONLY

TEXT = """
alerts:
  credit_consumption_failure: {threshold: 1%, window: 5m, severity: warning}
  api_error_rate: {threshold: 0.5%, window: 1m, severity: critical}
  database_query_slow: {threshold: 500ms, window: 1m, severity: warning}
  credit_variance: {threshold: 0.1%, window: 5m, severity: critical}
  credit_drift: {threshold: 5%, window: 5m, severity: info}
  credit_failure_discordant: {threshold: 50%, window: 5m, severity: info}
"""
RULES = {rule.name: rule for rule in parse(TEXT)}


INCREMENTS = [
    (("credit_consumption_failure", "v2", "served"), Counts(1, 10)),
    (("credit_consumption_failure", "v2", "shadow"), Counts(2, 30)),
    (("credit_consumption_failure", "legacy", "served"), Counts(5, 30)),
    (("api_error_rate", "", "served"), Counts(3, 50)),
    (("credit_variance", "", "served"), Counts(4, 40)),
    (("credit_drift", "", "served"), Counts(2, 38)),
    ((FAILED_V2_ONLY, "", "served"), Counts(6, 40)),
    ((FAILED_LEGACY_ONLY, "", "served"), Counts(1, 40)),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("credit_consumption_failure", Counts(3, 40)),
        ("api_error_rate", Counts(3, 50)),
        ("database_query_slow", Counts(0, 0)),
        ("credit_variance", Counts(4, 40)),
        ("credit_drift", Counts(2, 38)),
        ("credit_failure_discordant", Counts(6, 7)),
    ],
)
def test_each_alert_counts_what_speaks_of_v2(name: str, expected: Counts) -> None:
    assert sum_counts(RULES[name], INCREMENTS) == expected


def test_acting_alerts_share_alpha_equally_and_the_others_need_none() -> None:
    shares = alphas(RULES.values())

    assert shares == dict.fromkeys(
        ("credit_consumption_failure", "api_error_rate", "database_query_slow", "credit_variance"), ATTEMPT_ALPHA / 4
    )


def test_weights_and_own_alphas_shift_the_shares_and_never_the_sum() -> None:
    rules = [
        replace(RULES["api_error_rate"], alpha=0.004),
        replace(RULES["credit_variance"], weight=2.0),
        RULES["database_query_slow"],
        replace(RULES["credit_consumption_failure"], action=Action.HOLD),
    ]

    shares = alphas(rules)

    assert shares == pytest.approx({"api_error_rate": 0.004, "credit_variance": 0.004, "database_query_slow": 0.002})
    assert sum(shares.values()) == pytest.approx(ATTEMPT_ALPHA)


def test_each_flag_has_an_alpha_of_its_own() -> None:
    other = replace(RULES["api_error_rate"], name="other", flag="OTHER")

    assert alphas([RULES["api_error_rate"], other]) == {"api_error_rate": ATTEMPT_ALPHA, "other": ATTEMPT_ALPHA}


@pytest.mark.parametrize(
    "change",
    [{"threshold": 0.02}, {"window_seconds": 60.0}, {"slow_ms": 200.0}, {"flag": "OTHER"}, {"metric_name": "other"}],
)
def test_a_changed_question_changes_the_fingerprint(change: dict[str, Any]) -> None:
    rule = RULES["credit_consumption_failure"]
    changed: Rule = replace(rule, **change)

    assert changed.fingerprint != rule.fingerprint
    assert fingerprint([changed]) != fingerprint([rule])


@pytest.mark.parametrize("change", [{"weight": 2.0}, {"action": Action.HOLD}, {"for_seconds": 60.0}])
def test_what_is_done_about_an_answer_leaves_the_fingerprint(change: dict[str, Any]) -> None:
    rule = RULES["credit_consumption_failure"]

    assert replace(rule, **change).fingerprint == rule.fingerprint


def test_the_fingerprint_of_the_set_does_not_depend_on_its_order() -> None:
    assert fingerprint(RULES.values()) == fingerprint(reversed(RULES.values()))


def test_only_what_legacy_answers_too_can_be_attributed() -> None:
    assert [name for name, rule in RULES.items() if rule.attributable] == ["credit_consumption_failure"]


def test_a_threshold_is_said_as_what_is_allowed() -> None:
    assert RULES["api_error_rate"].threshold_sentence == "0.5%"
    assert RULES["database_query_slow"].threshold_sentence == "5% slower than 500ms"


def test_no_traffic_stays_unmentioned_for_three_windows_and_at_least_a_quarter_of_an_hour() -> None:
    assert RULES["api_error_rate"].no_data_notice_seconds == 900
    assert replace(RULES["api_error_rate"], window_seconds=600.0).no_data_notice_seconds == 1800
