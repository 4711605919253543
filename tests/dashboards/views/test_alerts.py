"""The alerts: all of them as the file has them, and one with the table of how many errors it takes."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import guard
from alerts.analysis.rules import ErrorBudget
from alerts.definitions.explanation import errors_needed
from alerts.definitions.parser import parse
from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.inbound.payload import Alert, Notification
from alerts.inbound.receiver import Receiver, receive
from alerts.overrides import approval
from alerts.overrides.approval import OverrideRequest
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.cohort_names import Cohort
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from dashboards.view_models import alerts as screens
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html"}

SignIn = Callable[[str], FlaskClient]


def rules_of(app: Flask) -> RulesFile:
    """Return the rules in force in the application."""
    return RULES_FILE.get(app)


@pytest.fixture
def ticked_at(app: Flask, planned: Rollout) -> datetime:
    """Let the guard judge after 300 webhooks, 30 of which failed; return when it did."""
    now = datetime.now(UTC)
    tick(app, now - timedelta(seconds=2))
    with app.app_context():
        for number in range(300):
            signals.record(Sample("billing_webhook_failure", bad=number % 10 == 0))
        signals.flush(now)
    tick(app, now)
    return now


def test_each_alert_shows_what_it_has_seen_the_worst_first(app: Flask, sign_in: SignIn, ticked_at: datetime) -> None:
    page = page_text(sign_in("victor").get("/alerts").get_data(as_text=True))
    assert "30 bad of 300 in this attempt" in page
    assert page.index("Billing webhook failure") < page.index("API error rate")


@pytest.mark.parametrize(
    ("window", "title", "rows"),
    [
        ("15m", "Last 15 minutes", 16),
        ("1h", "Last hour", 61),
        ("24h", "Last 24 hours", 121),
        ("phase", "This phase", 66),
    ],
)
def test_a_link_chooses_how_much_time_the_chart_and_its_table_show(
    sign_in: SignIn, ticked_at: datetime, window: str, title: str, rows: int
) -> None:
    html = sign_in("victor").get(f"/alerts/billing_webhook_failure?window={window}").text
    assert title in page_text(html)
    assert f'href="/alerts/billing_webhook_failure?window={window}" aria-current="true"' in html
    table = html.split('id="c-billing_webhook_failure-table"')[1].split("</table>")[0]
    shown = table.count("<tr") - 1
    # What was measured once stays in the rate for the window of the alert, and nothing was before.
    assert 1 <= shown <= rows
    assert "10 %" in page_text(table)


def test_the_page_of_a_rollout_has_the_same_windows_and_keeps_them_while_it_is_live(
    sign_in: SignIn, ticked_at: datetime
) -> None:
    victor = sign_in("victor")
    html = victor.get(f"/rollouts/{FLAG}?window=24h").text
    assert f'data-live="/live/rollouts/{FLAG}?window=24h"' in html
    assert "Billing webhook failure, last 24 hours" in html
    assert "one point for 12 min" in page_text(html)
    assert "Billing webhook failure, last hour" in victor.get(f"/rollouts/{FLAG}?window=month").text


def test_one_alert_tells_its_settings_and_its_verdict(sign_in: SignIn, ticked_at: datetime) -> None:
    page = page_text(sign_in("victor").get("/alerts/billing_webhook_failure").get_data(as_text=True))
    for expected in ("Threshold 1 %", "Window 10 min", "Severity critical", "30 bad of 300", "Show as table"):
        assert expected in page


def test_a_tripwire_is_counted_and_needs_one(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    text = "alerts:\n  double_charge: {threshold: 0%, window: 5m, severity: critical, metric: api_error_rate}\n"
    rules_of(app).rules = parse(text)
    tick(app, datetime.now(UTC))
    browser = sign_in("victor")
    assert "None is allowed: the first one rolls back." in page_text(browser.get("/alerts").get_data(as_text=True))
    page = page_text(browser.get("/alerts/double_charge").get_data(as_text=True))
    assert "How many errors does it take? One." in page
    assert "Last hour" not in page


@pytest.mark.database("sqlite")
def test_an_owner_overrules_an_alert_for_a_while_and_everybody_sees_it(sign_in: SignIn, planned: Rollout) -> None:
    owner, viewer = sign_in("alice"), sign_in("victor")
    form = {"minutes": "15", "reason": "A known outage of the bank."}
    owner.post(f"/alerts/{FLAG}/credit_consumption_failure/override", data=form)
    note = "Credit consumption failure may only notify until"
    page = page_text(viewer.get(f"/rollouts/{FLAG}").get_data(as_text=True))
    assert note in page
    assert "A known outage of the bank. (alice)" in page
    for other in ("/alerts", "/users", "/audit", "/system"):
        everywhere = page_text(viewer.get(other).get_data(as_text=True))
        assert "Credit consumption failure of ENABLE_CREDITS_V2 may only notify until" in everywhere, other
    owner.post(f"/alerts/{FLAG}/credit_consumption_failure/override/end", data={"reason": "Over."})
    assert note not in page_text(viewer.get(f"/rollouts/{FLAG}").get_data(as_text=True))


@pytest.mark.database("sqlite")
def test_a_critical_alert_is_overruled_by_two(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    owner = sign_in("alice")
    answer = owner.post(
        f"/alerts/{FLAG}/api_error_rate/override", data={"minutes": "15", "reason": "Known."}, follow_redirects=True
    )
    page = page_text(answer.get_data(as_text=True))
    assert "It is critical: another owner has to agree" in page
    assert "Asked for alice asks for it until" in page
    assert "may only notify until" not in page
    with write_session(app) as session:
        wish = OverrideRequest(FLAG, "api_error_rate", 15, "So do I.")
        approval.grant(session, rules_of(app).rules, wish, now=datetime.now(UTC), actor="oscar")
    assert "oscar: So do I." in page_text(owner.get("/users").get_data(as_text=True))


def test_what_alertmanager_sent_and_who_was_told_is_shown(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    browser, now = sign_in("victor"), datetime.now(UTC)
    page = page_text(browser.get("/alerts").get_data(as_text=True))
    assert "Alertmanager has sent nothing." in page
    assert "No notification was sent yet." in page
    alert = Alert(status="firing", labels={"alertname": "DiskFull", "severity": "warning"}, startsAt=now)
    with write_session(app) as session:
        receive(session, Notification(version="4", status="firing", alerts=[alert]), Receiver((), actor="am", now=now))
        rollouts.hold(session, FLAG, ChangeContext(now, "olga", "Lunch."))
    page = page_text(browser.get("/alerts").get_data(as_text=True))
    assert re.search(r"Not ours DiskFull ?, firing It names no flag, so it speaks of no rollout\.", page), page
    assert f"{FLAG} held just now · not sent: NOTIFY_URLS is empty" in page


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("wrong", [{"reason": ""}, {"minutes": "600"}, {"minutes": "soon"}])
def test_an_overruling_without_reason_or_end_is_refused(
    sign_in: SignIn, planned: Rollout, wrong: dict[str, str]
) -> None:
    owner = sign_in("alice")
    answer = owner.post(f"/alerts/{FLAG}/api_error_rate/override", data={"minutes": "15", "reason": "Known."} | wrong)
    assert "Nothing was changed." in page_text(answer.get_data(as_text=True))


@pytest.mark.database("sqlite")
def test_only_owners_overrule(sign_in: SignIn, planned: Rollout) -> None:
    form = {"minutes": "15", "reason": "Known."}
    answer = sign_in("olga").post(f"/alerts/{FLAG}/api_error_rate/override", data=form, headers=HTML)
    assert answer.status_code == 403


def test_an_alert_that_nobody_wrote_is_not_found(sign_in: SignIn, planned: Rollout) -> None:
    answer = sign_in("victor").get("/alerts/nothing", headers=HTML)
    assert answer.status_code == 404
    assert "No rollout is guarded by an alert called 'nothing'" in page_text(answer.get_data(as_text=True))


def test_a_file_that_can_not_be_used_is_said_on_the_page(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    rules_of(app).problem = "alerts.yaml can't be used. Line 3, threshold: write 1%."
    page = page_text(sign_in("victor").get("/alerts").get_data(as_text=True))
    assert "alerts.yaml can't be used as it is now." in page
    assert "Line 3, threshold: write 1%." in page


def test_without_a_rollout_there_is_nothing_to_guard(sign_in: SignIn) -> None:
    assert "No rollout to guard yet" in page_text(sign_in("victor").get("/alerts").get_data(as_text=True))


def test_how_many_errors_it_takes_grows_with_the_outcomes_and_holding_comes_first() -> None:
    (rule,) = parse("alerts:\n  api_error_rate: {threshold: 1%, window: 5m, severity: critical}\n")
    needs = errors_needed(rule, ErrorBudget(rollback=0.01, hold=0.1))
    assert (needs[0].total, needs[0].rollback) == (5, 3)
    for need in needs:
        assert need.hold is not None
        assert need.rollback is not None
        assert need.hold <= need.rollback
    rollbacks = [need.rollback or 0 for need in needs]
    assert rollbacks == sorted(rollbacks)


def test_an_alert_that_may_not_roll_back_never_does() -> None:
    (rule,) = parse("alerts:\n  api_error_rate: {threshold: 1%, window: 5m, severity: info}\n")
    assert {need.rollback for need in errors_needed(rule, ErrorBudget(rollback=None, hold=None))} == {None}


@pytest.mark.usefixtures("planned")
@pytest.mark.database("sqlite")
def test_a_budget_is_shown_where_the_alert_has_one(app: Flask, sign_in: SignIn) -> None:
    for extra, shown in ((", budget: 2500", True), ("", False)):
        rules = f"alerts:\n  credits_at_risk: {{threshold: 0%, window: 5m, severity: critical{extra}}}\n"
        rules_of(app).rules = parse(rules)
        page = page_text(sign_in("victor").get("/alerts/credits_at_risk").get_data(as_text=True))
        assert ("Budget 2 500 credits a step" in page) is shown
        (told,) = sign_in("victor").get("/api/alerts").get_json()["alerts"]
        assert told["budget"] == (2500 if shown else None)


def test_alerts_of_another_flag_are_not_shown_here(app: Flask, planned: Rollout) -> None:
    rules_of(app).rules = parse("alerts:\n  api_error_rate: {threshold: 1%, window: 5m, severity: info, flag: OTHER}\n")
    with read_session(app) as session:
        screen = screens.read(session, now=datetime.now(UTC), lease_seconds=30)
    assert (screen.flags, screen.unguarded) == ((), (FLAG,))


def tick(app: Flask, now: datetime) -> None:
    """Let the guard judge once."""
    with write_session(app) as session:
        guard.tick(session, rules_of(app).rules, now=now, term=1, lease_seconds=30)


def test_the_part_of_the_users_that_is_at_fault_stands_on_the_card_and_on_the_page(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    now, signal = datetime.now(UTC), "credit_consumption_failure"
    tick(app, now - timedelta(seconds=2))
    with app.app_context():
        for number in range(600):
            plan = (Cohort("plan", "starter" if number % 100 == 0 else "pro"),)
            of_account = Sample(signal, False, account=f"u{number}", cohorts=plan)
            signals.record(
                of_account._replace(bad=number % 100 == 0, engine="v2"), of_account._replace(engine="legacy")
            )
        signals.flush(now)
    tick(app, now)
    for place in ("/alerts", f"/alerts/{signal}"):
        page = page_text(sign_in("victor").get(place).get_data(as_text=True))
        assert "All 6 operations of plan starter failed in v2." in page, place
