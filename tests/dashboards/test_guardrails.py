"""What the guard sees of an alert, as it is drawn."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.analysis.attribution import Attribution
from alerts.analysis.rules import Action, Rule, error_budgets
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts
from dashboards.chart_windows import ChartWindow, time_scale
from dashboards.filters import NARROW
from dashboards.guardrails import AlertView, ChartLayout, alert_views

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR = time_scale(ChartWindow.HOUR, NOW)
LAYOUT = ChartLayout(HOUR)
THIS_MINUTE = int(NOW.timestamp()) // 60
FAILURE, SLOW, VARIANCE = parse(
    """
    alerts:
      credit_consumption_failure: {threshold: 1%, window: 5m, severity: warning}
      database_query_slow: {threshold: 500ms, window: 1m, severity: warning}
      credit_variance: {threshold: 0.1%, window: 5m, severity: critical, compare: paired}
    """
)


def verdict(rule: Rule, status: Status, attribution: Attribution = Attribution.UNKNOWN) -> Verdict:
    """Return a verdict of the guard on 12 bad of 400."""
    return Verdict(
        alert=rule.name,
        status=status,
        cause="Because.",
        at=NOW,
        counts=Counts(12, 400),
        window=Counts(3, 90),
        window_seconds=rule.window_seconds,
        threshold=rule.threshold,
        threshold_text=rule.threshold_text,
        evidence_log10=1.4,
        rollback_log10=2.7,
        attribution=attribution,
    )


def minute(ago: int, bad: int, total: int, engine: str = "v2", role: str = "served") -> tuple[Any, Counts]:
    """Counts of the failure signal some minutes ago."""
    return ((FAILURE.metric.signal, engine, role), THIS_MINUTE - ago), Counts(bad, total)


def view_after(*minutes: tuple[Any, Counts], changes: tuple[tuple[datetime, str], ...] = ()) -> AlertView:
    """Return the failure alert after these minutes."""
    (view,) = alert_views([FAILURE], [], list(minutes), ChartLayout(HOUR, changes=changes))
    return view


def test_the_worst_alert_comes_first() -> None:
    judged = [verdict(FAILURE, Status.OK), verdict(SLOW, Status.HOLD)]
    views = alert_views([FAILURE, SLOW], judged, [], LAYOUT)
    assert [view.name for view in views] == ["database_query_slow", "credit_consumption_failure"]


def test_cards_keep_their_order_while_nothing_is_wrong() -> None:
    judged = [verdict(FAILURE, Status.INSUFFICIENT), verdict(SLOW, Status.OK)]
    assert [view.name for view in alert_views([FAILURE, SLOW], judged, [], LAYOUT)] == [FAILURE.name, SLOW.name]


def test_an_alert_that_was_never_judged_counts_as_insufficient_and_shows_no_evidence() -> None:
    view = view_after()
    assert view.status is Status.INSUFFICIENT
    assert view.bar.filled == 0
    assert view.chart.empty


def test_the_chart_shows_the_rate_over_the_alerts_own_window() -> None:
    view = view_after(minute(4, bad=4, total=100), minute(0, bad=0, total=100))
    v2 = next(line for line in view.chart.lines if line.name == "v2")
    assert [dot.value for dot in v2.dots] == [0.04, 0.04, 0.04, 0.04, 0.02]


def test_both_roles_of_an_engine_speak_of_it_and_legacy_has_its_own_line() -> None:
    view = view_after(minute(0, 1, 50), minute(0, 1, 50, role="shadow"), minute(0, 0, 100, engine="legacy"))
    assert [(line.name, line.dots[-1].value) for line in view.chart.lines] == [("v2", 0.02), ("legacy", 0.0)]


def test_changes_of_the_rollout_are_marked_on_the_chart() -> None:
    view = view_after(
        minute(0, 0, 10), changes=((NOW - timedelta(minutes=20), "Held"), (NOW - timedelta(days=2), "Advanced"))
    )
    assert [(mark.first, mark.title) for mark in view.chart.marks] == [(THIS_MINUTE - 20, "Held")]


def test_fault_is_attributed_only_where_something_is_wrong() -> None:
    attributions = {
        status: alert_views([FAILURE], [verdict(FAILURE, status, Attribution.SHARED)], [], LAYOUT)[0].attribution
        for status in (Status.OK, Status.WATCH, Status.HOLD, Status.ROLLBACK)
    }
    assert attributions == {
        Status.OK: None,
        Status.WATCH: None,
        Status.HOLD: Attribution.SHARED,
        Status.ROLLBACK: Attribution.SHARED,
    }


def test_the_words_beside_a_figure_say_what_it_counts() -> None:
    views = alert_views([FAILURE, SLOW, VARIANCE], [], [], LAYOUT)
    assert [view.measured.replace(NARROW, " ") for view in views] == [
        "in 5 min, allowed 1 %",
        "slower than 500 ms in 1 min, allowed 5 %",
        "differing in 5 min, allowed 0.1 %",
    ]


def test_the_description_says_in_words_what_the_chart_shows() -> None:
    description = view_after(minute(0, 5, 100)).description.replace(NARROW, " ")
    assert description == (
        "The bad rate over 5 min, minute by minute: v2 ends at 5 %, allowed is 1 %, 1 reading was above it."
    )


def test_the_marks_are_where_the_guard_acts_and_one_that_only_notifies_has_none() -> None:
    notifying = replace(FAILURE, name="told", action=Action.NOTIFY)
    budgets = error_budgets([FAILURE, SLOW, notifying])
    views = {view.name: view.bar for view in alert_views([FAILURE, SLOW, notifying], [], [], LAYOUT)}
    for rule in (FAILURE, SLOW):
        hold, rollback = budgets[rule.name].hold_log10, budgets[rule.name].rollback_log10
        assert (views[rule.name].log10_hold, views[rule.name].log10_rollback) == (hold, rollback)
        assert (hold or 0) + 1 == pytest.approx(rollback), "a tenth of the evidence for a rollback"
    assert (views["told"].hold, views["told"].rollback) == (None, None)


def test_figures_of_a_rollback_are_marked_as_past_and_those_of_now_are_not() -> None:
    """Beside a chart and a gate that go on counting, the two would contradict each other."""
    verdicts = [verdict(VARIANCE, Status.ROLLBACK), verdict(FAILURE, Status.HOLD)]
    for is_latched in (True, False):
        views = alert_views([FAILURE, VARIANCE], verdicts, [], LAYOUT, is_latched=is_latched)
        assert {view.name: view.is_past for view in views} == {
            "credit_variance": is_latched,
            "credit_consumption_failure": False,
        }


@pytest.mark.parametrize(
    ("name", "action", "does"),
    [
        ("credit_double_charge", "rollback", "rolls back"),
        ("credit_double_charge", "hold", "holds"),
        ("billing_event_missed", "notify", "people are told"),
    ],
)
def test_a_tripwire_says_what_it_does(name: str, action: str, does: str) -> None:
    rules = parse(f"alerts: {{{name}: {{threshold: 0%, window: 5m, severity: critical, action: {action}}}}}")
    (view,) = alert_views(rules, [], [], LAYOUT)
    assert does in view.tripping
    assert does.removeprefix("people are ") in view.proof.lower()
