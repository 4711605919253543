"""The unit of an alert as `alerts.yaml` says it."""

from dataclasses import replace

import pytest

from alerts.analysis.rules import Per
from alerts.definitions.parser import parse
from tests.alerts.definitions.test_parser import alert, mistakes, rule

PER_ACCOUNT = alert("per: account").replace("window: 5m", "window: 1h")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (alert("per: user"), "'user' is none of operation, account."),
        (alert("per: account", name="api_error_rate"), "api_error_rate name no account; per account can be credit_"),
        (alert("per: account", name="credit_drift"), "credit_drift name no account; per account can be credit_"),
        (alert("per: account", threshold="0%"), "a tripwire fires at the first bad outcome, whoever's it is"),
        (alert("per: account"), "an account counts once an hour, so its window is a number of hours, such as 1h."),
    ],
)
def test_what_has_no_meaning_per_account_is_refused(text: str, expected: str) -> None:
    assert expected in "\n".join(mistakes(text))


def test_an_alert_is_per_operation_unless_it_says_otherwise() -> None:
    (by_account,) = parse(PER_ACCOUNT)
    assert (rule().per, by_account.per) == (Per.OPERATION, Per.ACCOUNT)
    assert by_account.fingerprint != replace(by_account, per=Per.OPERATION).fingerprint
    assert (by_account.signal, rule().signal) == ("credit_consumption_failure@accounts", "credit_consumption_failure")
