"""Alertmanager's posts on both databases: acted upon once, stored always, refused only when they are none."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import RolloutState
from control_plane.core.transitions import Refusal
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.rollouts import store
from tests.alerts.conftest import StoredRollout
from tests.alerts.inbound.notifications import alert, notification
from tests.outages import unreachable
from tests.races import WAITS

PATH = "/webhooks/alertmanager"

Post = Callable[..., TestResponse]


@pytest.fixture
def now() -> datetime:
    """The real present, in which posts arrive."""
    return datetime.now(UTC)


@pytest.fixture
def post(app: Flask, stored_rollout: StoredRollout, service_token: str) -> Post:
    """Post a notification as Alertmanager does; each call comes over a connection of its own."""

    def post(body: Any, token: str = service_token) -> TestResponse:
        return app.test_client().post(PATH, json=body, headers={"Authorization": f"Bearer {token}"})

    return post


def only(response: TestResponse) -> str:
    """Return the response to the one alert of a notification."""
    assert response.status_code == 200, response.text
    (answer,) = response.get_json()["alerts"]
    return str(answer["response"])


def test_a_critical_alert_rolls_back_and_says_where_that_came_from(post: Post, stored_rollout: StoredRollout) -> None:
    assert only(post(notification(alert(stored_rollout.now)))) == "rollback"
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK
    (entry,) = stored_rollout.entries("rollout.roll_back")
    assert entry.actor == "alertmanager (token:a service token)"
    assert "2.1% of requests fail" in entry.reason
    assert entry.after is not None
    assert entry.after["evidence"]["fingerprint"] == "print-of-api_error_rate"


def test_a_warning_holds_until_a_person_resumes(app: Flask, post: Post, stored_rollout: StoredRollout) -> None:
    assert only(post(notification(alert(stored_rollout.now, labels={"severity": "warning"})))) == "hold"
    with app.app_context():
        run_guard(stored_rollout.now + timedelta(seconds=1), 1)
        run_guard(stored_rollout.now + timedelta(hours=2), 1)
    assert (stored_rollout.rollout.state, stored_rollout.rollout.held_by_guard) == (RolloutState.HELD, False)


def test_a_post_about_every_rollout_and_a_change_of_one_never_wait_in_a_circle(
    app: Flask, post: Post, stored_rollout: StoredRollout
) -> None:
    change = ChangeContext(stored_rollout.now, "alice", "Planned.")
    with app.app_context():
        with transaction() as session:
            rollouts.plan(session, "SEARCH", default_plan(stored_rollout.now), change)
        with ThreadPoolExecutor(1) as threads:
            with transaction() as session:
                store.lock(session, "SEARCH")
                answer = threads.submit(post, notification(truncatedAlerts=3))
                wait([answer], timeout=WAITS)
                rollouts.hold(session, "SEARCH", change)
            assert answer.result().status_code == 200, answer.result().text
    assert stored_rollout.rollout.state is RolloutState.HELD


def test_twenty_identical_posts_at_once_roll_back_once(post: Post, stored_rollout: StoredRollout) -> None:
    body = notification(alert(stored_rollout.now))
    with ThreadPoolExecutor(20) as pool:
        answers = [only(response) for response in pool.map(post, [body] * 20)]
    assert sorted(answers) == ["noted"] * 19 + ["rollback"]
    assert len(stored_rollout.entries("rollout.roll_back")) == 1
    assert stored_rollout.rollout.version == 3


def test_twenty_posts_of_the_same_alerts_in_any_order_wait_for_each_other_and_not_in_a_circle(
    post: Post, stored_rollout: StoredRollout
) -> None:
    alerts = [
        alert(stored_rollout.now),
        alert(stored_rollout.now, "database_query_slow"),
        alert(stored_rollout.now, "billing_webhook_failure"),
    ]
    bodies = [notification(*alerts[turn % 3 :], *alerts[: turn % 3]) for turn in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert {response.status_code for response in pool.map(post, bodies)} == {200}
    assert len(stored_rollout.entries("rollout.roll_back")) == 3, "one rollback, and two more causes of it"


def test_a_resolved_alert_and_a_repeat_change_nothing(post: Post, stored_rollout: StoredRollout) -> None:
    firing = alert(stored_rollout.now)
    post(notification(firing))
    version = stored_rollout.rollout.version
    assert only(post(notification(firing))) == "noted"
    assert only(post(notification({**firing, "status": "resolved"}, status="resolved"))) == "noted"
    assert stored_rollout.rollout.version == version


def test_each_alert_of_a_group_is_decided_by_its_own_status(post: Post, stored_rollout: StoredRollout) -> None:
    resolved = alert(stored_rollout.now, status="resolved")
    warning = alert(stored_rollout.now, "database_query_slow", labels={"severity": "warning"})
    answers = post(notification(resolved, warning)).get_json()["alerts"]
    assert [each["response"] for each in answers] == ["noted", "hold"]
    assert stored_rollout.rollout.state is RolloutState.HELD


def test_an_alert_that_began_before_the_attempt_does_not_end_it_but_closes_the_gate_before_it(
    app: Flask, post: Post, stored_rollout: StoredRollout
) -> None:
    old = alert(stored_rollout.now)
    post(notification(old))
    later = stored_rollout.now + timedelta(hours=1)
    assert isinstance(rearmed(app, later), Refusal), "it still fires"
    post(notification({**old, "status": "resolved"}, status="resolved"))
    assert not isinstance(rearmed(app, later), Refusal)
    assert only(post(notification(old))) == "noted"
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    fresh = alert(stored_rollout.now, startsAt=(later + timedelta(seconds=1)).isoformat())
    assert only(post(notification(fresh))) == "rollback"


def rearmed(app: Flask, now: datetime) -> object:
    with app.app_context(), transaction() as session:
        version = rollouts.find(session, FLAG).version
        return rollouts.rearm(session, FLAG, ChangeContext(now, "alice", "Fixed."), expected_version=version)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"flag": "ANOTHER"}, "There is no rollout of 'ANOTHER'"),
        ({"flag": None}, "names no flag"),
        ({"alertname": "DiskFull"}, "not an alert of ENABLE_CREDITS_V2"),
    ],
)
def test_what_is_none_of_ours_is_stored_and_not_acted_upon(
    post: Post, stored_rollout: StoredRollout, sign_in: Callable[[str], Any], changes: dict[str, Any], reason: str
) -> None:
    (answer,) = post(notification(alert(stored_rollout.now, labels=changes))).get_json()["alerts"]
    assert answer["response"] == "unknown"
    assert reason in answer["reason"]
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    (stored,) = sign_in("victor").get("/api/alerts/received").get_json()["alerts"]
    assert stored["reason"] == answer["reason"]


def test_alerts_that_were_left_out_hold_the_flags_that_were_named(post: Post, stored_rollout: StoredRollout) -> None:
    post(notification(truncatedAlerts=3, commonLabels={"flag": "ANOTHER"}))
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    post(notification(truncatedAlerts=3, status="resolved"))
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    post(notification(truncatedAlerts=3))
    held = stored_rollout.rollout
    assert held.state is RolloutState.HELD
    assert "3 alerts" in held.state_reason


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "firing",
        {"text": "a custom payload"},
        notification() | {"version": "3"},
        notification({"status": "firing"}),
        notification(alert(datetime(2026, 1, 1))),  # noqa: DTZ001 - that it has no zone is the mistake
        notification(alert(datetime.now(UTC), startsAt="9999-12-31T23:59:59-01:00")),
    ],
    ids=["empty", "list", "text", "template", "older", "nameless", "zoneless", "undated"],
)
def test_what_is_no_notification_is_refused_for_good(post: Post, body: Any) -> None:
    response = post(body)
    assert (response.status_code, response.get_json()["code"]) == (400, "MALFORMED_NOTIFICATION")


def test_a_body_that_is_no_json_is_refused_for_good(app: Flask, service_token: str) -> None:
    headers = {"Authorization": f"Bearer {service_token}"}
    assert app.test_client().post(PATH, data=b"{", headers=headers).status_code == 400


def test_nobody_posts_without_a_token_for_services(app: Flask, post: Post, make_token: Callable[..., str]) -> None:
    body = notification()
    assert app.test_client().post(PATH, json=body).status_code == 401
    assert post(body, token="nothing of ours").status_code == 401
    assert post(body, token=make_token("frontend")).status_code == 403


def test_while_the_database_is_away_the_alert_stays_with_alertmanager(
    app: Flask, post: Post, stored_rollout: StoredRollout
) -> None:
    body = notification(alert(stored_rollout.now))
    with unreachable(app):
        response = post(body)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert only(post(body)) == "rollback"
