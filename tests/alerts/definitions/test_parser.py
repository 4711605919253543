import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from alerts.analysis.metrics import METRICS, Compare
from alerts.analysis.rules import Action, NoData, Per, Rule, Severity
from alerts.definitions import parser
from alerts.definitions.parser import InvalidRules, parse
from alerts.definitions.rule_errors import RuleError

ROOT = Path(__file__).parents[3]
SHIPPED = (ROOT / "alerts.yaml").read_text()
SCHEMA = json.loads((Path(parser.__file__).parent / "alerts.schema.json").read_text())
AT_RISK = "credits_at_risk"
GUIDE = """\
alerts:
  credit_consumption_failure:
    threshold: 1%
    window: 5m
    severity: warning

  api_error_rate:
    threshold: 0.5%
    window: 1m
    severity: critical

  billing_webhook_failure:
    threshold: 1%
    window: 10m
    severity: critical

  database_query_slow:
    threshold: 500ms
    window: 1m
    severity: warning
"""


def alert(extra: str = "", *, name: str = "credit_consumption_failure", threshold: str = "1%") -> str:
    """Return one alert with `extra` lines, written as `key: value; key: value`."""
    lines = [f"threshold: {threshold}", "window: 5m", "severity: critical", *filter(None, extra.split("; "))]
    return f"alerts:\n  {name}:\n" + "".join(f"    {line}\n" for line in lines)


def rule(extra: str = "", *, name: str = "credit_consumption_failure", threshold: str = "1%") -> Rule:
    return parse(alert(extra, name=name, threshold=threshold))[0]


def mistakes(text: str) -> list[str]:
    with pytest.raises(InvalidRules) as refused:
        parse(text)
    return [str(mistake) for mistake in refused.value.mistakes]


def test_the_shipped_file_starts_with_the_guide_word_for_word() -> None:
    assert SHIPPED.startswith(GUIDE)


def test_it_reads_the_four_alerts_of_the_guide() -> None:
    read = {
        each.name: (each.threshold, each.slow_ms, each.window_seconds, each.severity, each.action)
        for each in parse(GUIDE)
    }

    assert read == {
        "credit_consumption_failure": (0.01, None, 300, Severity.WARNING, Action.ROLLBACK),
        "api_error_rate": (0.005, None, 60, Severity.CRITICAL, Action.ROLLBACK),
        "billing_webhook_failure": (0.01, None, 600, Severity.CRITICAL, Action.ROLLBACK),
        "database_query_slow": (0.05, 500, 60, Severity.WARNING, Action.ROLLBACK),
    }


def test_deliveries_of_stripes_that_never_came_in_tell_people_and_move_no_rollout() -> None:
    rules = {each.name: each for each in parse(SHIPPED)}
    for name in ("billing_signature_failure", "billing_delivery_failure", "billing_event_missed"):
        assert rules[name].action is Action.NOTIFY, name
    assert rules["billing_event_missed"].tripwire, "one missing event is proof"


def test_it_reads_the_shipped_variance_alert_as_paired() -> None:
    variance = next(each for each in parse(SHIPPED) if each.name == "credit_variance")

    assert (variance.threshold, variance.compare, variance.severity) == (0.001, Compare.PAIRED, Severity.CRITICAL)


def test_it_reads_the_guides_five_percent_as_drift() -> None:
    drift = next(each for each in parse(SHIPPED) if each.name == "credit_drift")

    assert (drift.threshold, drift.compare, drift.severity) == (0.05, Compare.DRIFT, Severity.CRITICAL)


def test_a_quantile_sets_the_slow_fraction_exactly() -> None:
    assert rule(name="database_query_slow", threshold="500ms").threshold == 0.05
    assert rule("quantile: 99", name="database_query_slow", threshold="0.5s").threshold == 0.01
    assert rule("quantile: 99.9", name="database_query_slow", threshold="2s").threshold == 0.001


def test_every_optional_key_is_read() -> None:
    text = (
        "metric: checkout_failed; compare: paired; action: hold; weight: 2.5; no_data: ignore; for: 90s; "
        "flag: NEW_CHECKOUT; environments: [staging, production]"
    )

    read = rule(text, name="checkout")

    assert (read.metric_name, read.metric.signal, read.compare) == ("checkout_failed", "checkout_failed", "paired")
    assert (read.action, read.weight, read.no_data, read.for_seconds) == (Action.HOLD, 2.5, NoData.IGNORE, 90)
    assert (read.flag, read.environments, read.alpha) == ("NEW_CHECKOUT", ("staging", "production"), None)
    assert rule("alpha: 0.1%").alpha == 0.001


def test_an_alert_on_credits_at_risk_may_say_its_budget() -> None:
    said, unsaid = (rule(extra, name=AT_RISK, threshold="0%") for extra in ("budget: 1500", ""))

    assert (said.credits_budget, said.threshold_sentence, said.tripwire) == (1500, "0% above 1,500 credits", True)
    assert (unsaid.credits_budget, unsaid.threshold_sentence) == (None, "0%")


def test_another_budget_is_another_question_and_begins_a_new_attempt() -> None:
    budgets = ("", "budget: 0", "budget: 500", "budget: 501")
    assert len({rule(extra, name=AT_RISK, threshold="0%").fingerprint for extra in budgets}) == len(budgets)


@pytest.mark.parametrize(
    ("severity", "action", "no_data"),
    [("critical", "rollback", "rollback"), ("warning", "rollback", "hold"), ("info", "notify", "ignore")],
)
def test_severity_sets_what_happens_by_default(severity: str, action: str, no_data: str) -> None:
    read = parse(GUIDE.replace("severity: warning", f"severity: {severity}", 1))[0]

    assert (read.action, read.no_data) == (action, no_data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (alert(threshold="1 parsec"), "Line 3, alerts.credit_consumption_failure.threshold: '1 parsec' is neither"),
        (alert(threshold="1"), "Line 3, alerts.credit_consumption_failure.threshold: '1' is neither a ratio"),
        (alert(threshold="-1%"), "'-1%' is neither a ratio nor a duration; write it like 1%, 0.5% or 500ms."),
        (alert(threshold="51%"), "'51%' is above 50%"),
        (alert(threshold="500ms"), "'500ms' can't bound this measurement, which needs a ratio like 1%."),
        (alert(name="database_query_slow"), "'1%' can't bound this measurement, which needs a duration like 500ms."),
        (alert(name="database_query_slow", threshold="0ms"), "every outcome would be slow"),
        (alert("window: 6m"), "Line 6, alerts.credit_consumption_failure.window: given twice; the first one is on"),
        (alert("windw: 5m"), "Line 6, alerts.credit_consumption_failure.windw: unknown key; did you mean window?"),
        (alert("colour: red"), "colour: unknown key; known are threshold, window, severity, metric"),
        (alert("quantile: 99"), "a quantile belongs to a duration"),
        (alert("quantile: 49", name="database_query_slow", threshold="1s"), "at least 50 and below 100"),
        (alert("quantile: high", name="database_query_slow", threshold="1s"), "'high' is not a plain number"),
        (alert("compare: paired"), "this measurement can only be compared as absolute."),
        (alert("compare: sideways"), "'sideways' is none of absolute, paired, drift, discordant."),
        (alert("action: panic"), "'panic' is none of rollback, hold, notify."),
        (alert("alpha: 2%"), "an alert's alpha is above 0% and at most the 1% of the whole phase."),
        (alert("alpha: 0.1"), "'0.1' is not a ratio; write it like 0.1%."),
        (alert("alpha: 0.1%; weight: 2"), "an alpha of its own or a weight in the common one, not both."),
        (alert("weight: 0"), "a weight is above 0."),
        (alert("for: 2d"), "a breach may be waited out for at most 1d."),
        (
            alert("budget: 5"),
            "credit_consumption_failure has no budget that could be used up; only credits_at_risk has.",
        ),
        (alert("budget: 2.5", name=AT_RISK), "Line 6, alerts.credits_at_risk.budget: '2.5' is no whole number of"),
        (alert("budget: -1", name=AT_RISK), "'-1' is no whole number of credits up to 999999999; write it like 1000."),
        (alert("budget: '5'", name=AT_RISK), "'5' is no whole number of credits"),
        (alert("budget: 1000000000", name=AT_RISK), "'1000000000' is no whole number of credits"),
        (alert("action: hold", name="credit_retry"), "shows what callers do as well, so an alert on it can only"),
        (alert("flag: 7"), "'7' is not a valid name; write it like ENABLE_CREDITS_V2."),
        (alert("flag:"), "flag: expected one value here."),
        (alert("environments: production"), "expected a list of environments, like [production]."),
        (alert("environments: [a, a]"), "an environment is listed twice."),
        (
            alert(name="coffee"),
            "nothing is measured under the name 'coffee'; name what to measure.",
        ),
        (alert(name="Coffee Machine"), "Line 2, alerts.Coffee Machine: a name is lower case letters"),
        (alert(name="credit_failure_discordant"), "discordant pairs are compared with 50%"),
        (GUIDE.replace("window: 1m", "window: 1s", 1), "Line 9, alerts.api_error_rate.window: a window lasts from 10s"),
        (GUIDE.replace("    window: 1m\n", "", 1), "Line 7, alerts.api_error_rate.window: missing."),
        (
            GUIDE.replace("alerts:", "alarms:"),
            "Line 1, alarms: unknown key; the keys at the top are alerts and migrations.",
        ),
        (GUIDE + "  api_error_rate: 3\n", "Line 21, alerts.api_error_rate: given twice; the first one is on line 7."),
        ("", "Line 1, alerts: missing; the file starts with the key alerts"),
        ("alerts:\n", "Line 1, alerts: expected keys with values below it."),
        ("alerts: {}\n", "Line 1, alerts: expected 1 to 100 alerts, found 0."),
        ("alerts: [1]\n", "Line 1, alerts: expected keys with values below it."),
        ("alerts:\n  api_error_rate: 5\n", "Line 2, alerts.api_error_rate: expected keys with values below it."),
        ("- a\n", "Line 1, the file: expected keys with values below it."),
        ("alerts:\n  a: {b: 1\nc", "this is not valid YAML"),
        ("alerts: \x07", "Line 1, alerts: this is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "this is not valid YAML"),
        ("[" * 2000, "Line 1, alerts: this is nested too deeply"),
        ("#" * 1_000_001, "the file is longer than 1000000 characters."),
    ],
)
def test_it_says_where_what_and_what_was_expected(text: str, expected: str) -> None:
    assert expected in "\n".join(mistakes(text))


def test_it_reports_every_mistake_at_once_in_the_order_of_the_file() -> None:
    text = GUIDE.replace("1%", "1 percent").replace("critical", "urgent")

    assert [mistake.split(",")[0] for mistake in mistakes(text)] == ["Line 3", "Line 10", "Line 13", "Line 15"]


def test_alphas_of_their_own_must_leave_something_to_the_others() -> None:
    text = GUIDE.replace("    threshold: 1%", "    alpha: 0.5%\n    threshold: 1%")

    (mistake,) = mistakes(text)
    assert mistake.startswith("Line 13, alerts.billing_webhook_failure: its alpha leaves nothing of the 1% of ENABLE_")


def test_a_metric_that_nobody_knows_yet_is_a_signal_of_the_users() -> None:
    assert rule("metric: beans_spilled", name="coffee").metric.signal == "beans_spilled"
    assert "beans_spilled" not in METRICS


def test_an_alert_on_what_callers_do_notifies_however_grave_it_is_said_to_be() -> None:
    found = rule(name="credit_retry")
    assert (found.severity, found.action, found.may_roll_back) == (Severity.CRITICAL, Action.NOTIFY, False)
    assert rule("action: notify", name="credit_retry") == found


@given(text=st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert all(isinstance(found, Rule) or found.line >= 1 for found in _read(text))


def _read(text: str) -> tuple[Rule | RuleError, ...]:
    try:
        return parse(text)
    except InvalidRules as refused:
        return refused.mistakes


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED,
        GUIDE,
        alert(threshold="0%"),
        alert("for: 0s; flag: A.b-c", name="api_error_rate"),
        alert("quantile: 99.5; weight: 3; environments: [production]", name="database_query_slow", threshold="500ms"),
        alert("metric: beans; alpha: 0.25%; no_data: hold; compare: paired", name="coffee"),
        alert(threshold="50%", name="credit_failure_discordant"),
        alert("budget: 0", name=AT_RISK, threshold="0%"),
        alert("budget: 999999999", name=AT_RISK, threshold="0%"),
        alert("budget: 500.0", name=AT_RISK, threshold="0%"),
        alert("budget: 1000000000", name=AT_RISK, threshold="0%"),
        alert("budget: 2.5", name=AT_RISK, threshold="0%"),
        alert("budget: many", name=AT_RISK, threshold="0%"),
        alert(threshold="1 parsec"),
        alert(threshold="1"),
        alert("colour: red"),
        alert("quantile: 100", name="database_query_slow", threshold="500ms"),
        alert("alpha: 0.1%; weight: 1"),
        alert("weight: 0"),
        alert("weight: heavy"),
        alert("flag: 7"),
        alert("flag: true"),
        alert("metric: No"),
        alert("environments: []"),
        alert("environments: [a, a]"),
        alert("environments: production"),
        alert("compare: sideways"),
        alert("no_data: null"),
        alert(name="Coffee"),
        GUIDE.replace("critical", "urgent"),
        GUIDE.replace("    window: 1m\n", "", 1),
        GUIDE + "other: 1\n",
        "alerts: {}\n",
        "alerts: 3\n",
        "{}\n",
    ],
)
def test_the_published_schema_and_the_reader_agree(text: str) -> None:
    valid = Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))

    if valid:
        assert parse(text)
    else:
        assert mistakes(text)


def test_the_published_schema_knows_every_key_and_every_word() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    properties = SCHEMA["$defs"]["alert"]["properties"]

    assert list(properties) == list(parser.FIELDS)
    assert SCHEMA["$defs"]["alert"]["required"] == list(parser.REQUIRED)
    words = {"severity": Severity, "compare": Compare, "action": Action, "no_data": NoData, "per": Per}
    assert {key: properties[key]["enum"] for key in words} == {key: [*enum] for key, enum in words.items()}
