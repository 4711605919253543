"""An override silences one alert for an hour at most, and nothing else, on both databases."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import store
from alerts.definitions import rules_file
from alerts.guard_job import run_guard
from alerts.overrides import approval
from alerts.overrides.approval import OverrideRequest
from alerts.overrides.store import Override, PendingOverride
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Role
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

SECOND = timedelta(seconds=1)
CRITICAL = "api_error_rate"


@pytest.fixture(autouse=True)
def first_tick(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        yield


def granted(
    now: datetime,
    alert: str = FAILURE,
    minutes: int = 60,
    reason: str = "A known fault of a test.",
    actor: str = "alice",
) -> Override | PendingOverride:
    with transaction() as session:
        wish = OverrideRequest(FLAG, alert, minutes, reason)
        return approval.grant(session, rules_file.current().rules, wish, now=now, actor=actor)


def fail(times: int) -> None:
    for number in range(times):
        signals.record(Sample(FAILURE, bad=True, engine="v2", account=f"u{number}"))


def test_an_overridden_alert_notifies_only_and_acts_again_when_the_time_is_up(stored_rollout: StoredRollout) -> None:
    granted(stored_rollout.now)
    fail(20)
    run_guard(stored_rollout.now + SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    with read_only() as session:
        verdicts = store.latest_verdicts(session, FLAG, attempt=1)
    assert next(each.reason for each in verdicts if each.alert == FAILURE).count("only notifies") == 1
    run_guard(stored_rollout.now + timedelta(minutes=59, seconds=59), 1)
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    run_guard(stored_rollout.now + timedelta(minutes=60), 1)
    after = stored_rollout.rollout
    assert after.state is RolloutState.ROLLED_BACK


def test_other_alerts_act_meanwhile(stored_rollout: StoredRollout) -> None:
    for owner in ("alice", "oscar"):
        granted(stored_rollout.now, CRITICAL, actor=owner)
    fail(20)
    run_guard(stored_rollout.now + SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK


def test_ending_an_override_lets_the_alert_act_at_once(stored_rollout: StoredRollout) -> None:
    granted(stored_rollout.now)
    fail(20)
    run_guard(stored_rollout.now + SECOND, 1)
    with transaction() as session:
        approval.end(session, FLAG, FAILURE, now=stored_rollout.now + SECOND, actor="olga", reason="Enough.")
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK


def test_a_tripwire_is_never_overridden_and_its_first_event_rolls_back(stored_rollout: StoredRollout) -> None:
    with pytest.raises(Problem, match="tripwire"):
        granted(stored_rollout.now, "credit_double_charge")
    signals.record(Sample("credit_double_charge", bad=True))
    run_guard(stored_rollout.now + SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK
    assert stored_rollout.rollout.state_reason.startswith("credit_double_charge")


@pytest.mark.parametrize(
    ("alert", "minutes", "reason", "code"),
    [
        ("nothing_of_the_kind", 60, "Why not.", "ALERT_NOT_FOUND"),
        (FAILURE, 61, "Why not.", "INVALID_DURATION"),
        (FAILURE, 0, "Why not.", "INVALID_DURATION"),
        (FAILURE, 60, "  ", "REASON_REQUIRED"),
    ],
)
def test_what_is_asked_for_must_be_known_short_and_explained(
    stored_rollout: StoredRollout, alert: str, minutes: int, reason: str, code: str
) -> None:
    with pytest.raises(Problem) as refused:
        granted(stored_rollout.now, alert, minutes, reason)
    assert refused.value.code == code


def test_granting_and_ending_are_in_the_audit_trail(stored_rollout: StoredRollout) -> None:
    granted(stored_rollout.now)
    (entry,) = stored_rollout.entries("alert.override")
    assert (entry.actor, entry.subject, entry.reason) == ("alice", f"rollout:{FLAG}", "A known fault of a test.")


def test_only_owners_grant_and_operators_end(sign_in: Callable[[str], FlaskClient]) -> None:
    path, body = f"/api/alerts/{FLAG}/{FAILURE}/override", {"minutes": 10, "reason": "A known fault."}
    assert sign_in("olga").post(path, json=body).status_code == 403
    assert sign_in("alice").post(path, json=body).status_code == 201
    (standing,) = sign_in("victor").get(f"/api/alerts/{FLAG}/overrides").get_json()["overrides"]
    assert (standing["alert"], standing["actor"]) == (FAILURE, "alice")
    assert sign_in("victor").delete(path).status_code == 403
    assert sign_in("olga").delete(path).status_code == 204
    assert sign_in("olga").delete(path).status_code == 404


def break_api(times: int) -> None:
    for _ in range(times):
        signals.record(Sample(CRITICAL, bad=True))


def test_a_critical_alert_acts_until_a_second_owner_wishes_the_same(stored_rollout: StoredRollout) -> None:
    for _ in range(2):
        assert isinstance(granted(stored_rollout.now, CRITICAL), PendingOverride), "one owner, however often"
    assert isinstance(granted(stored_rollout.now + SECOND, CRITICAL, actor="oscar"), Override)
    break_api(20)
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert stored_rollout.rollout.state is RolloutState.RUNNING
    (entry,) = stored_rollout.entries("alert.override")
    assert entry.after is not None
    assert (entry.actor, entry.after["asked_by"]) == ("oscar", "alice")


def test_whoever_was_locked_out_asks_for_nothing_any_more(stored_rollout: StoredRollout) -> None:
    with transaction() as session:
        paula = accounts.create_person(session, "paula", password=None, role="owner", now=stored_rollout.now)
    granted(stored_rollout.now, CRITICAL, actor="paula")
    with transaction() as session:
        accounts.disable_person(session, paula.id, now=stored_rollout.now, actor="alice")
    assert isinstance(granted(stored_rollout.now + SECOND, CRITICAL, actor="oscar"), PendingOverride)
    assert isinstance(granted(stored_rollout.now + 2 * SECOND, CRITICAL, actor="alice"), Override)


def test_what_was_asked_for_alone_changes_nothing(stored_rollout: StoredRollout) -> None:
    granted(stored_rollout.now, CRITICAL)
    break_api(20)
    run_guard(stored_rollout.now + SECOND, 1)
    assert (stored_rollout.rollout.state, stored_rollout.rollout.held_by_guard) == (RolloutState.HELD, True)


def test_a_wish_is_forgotten_after_a_quarter_of_an_hour_and_once_it_was_granted(stored_rollout: StoredRollout) -> None:
    granted(stored_rollout.now, CRITICAL)
    late = stored_rollout.now + timedelta(minutes=15)
    assert isinstance(granted(late, CRITICAL, actor="oscar"), PendingOverride)
    assert isinstance(granted(late + SECOND, CRITICAL), Override)
    assert isinstance(granted(late + 2 * SECOND, CRITICAL, actor="oscar"), PendingOverride)
    assert isinstance(granted(late + 3 * SECOND, "billing_webhook_failure"), PendingOverride), "each alert for itself"


def test_over_http_the_first_owner_is_told_that_a_second_is_needed(sign_in: Callable[[str], FlaskClient]) -> None:
    path, body = f"/api/alerts/{FLAG}/{CRITICAL}/override", {"minutes": 10, "reason": "A known fault."}
    answer = sign_in("alice").post(path, json=body)
    assert (answer.status_code, answer.get_json()["askedBy"]) == (202, "alice")
    assert sign_in("victor").get(f"/api/alerts/{FLAG}/overrides").get_json()["overrides"] == []


def token(name: str, maker: str, now: datetime) -> str:
    """Return an admin token, by the name under which it acts."""
    with transaction() as session:
        tokens.create_token(session, tokens.NewToken(name, "admin", environment="production"), now=now, actor=maker)
    return f"token:{name}"


def test_a_token_is_no_second_owner_for_whoever_made_it(stored_rollout: StoredRollout) -> None:
    mine = token("mine", "alice", stored_rollout.now)
    grandchild = token("grandchild", token("child", mine, stored_rollout.now), stored_rollout.now)
    other = token("other", "alice", stored_rollout.now)
    names = ("alice", mine, other, grandchild, "alice", other)
    assert all(isinstance(granted(stored_rollout.now, CRITICAL, actor=name), PendingOverride) for name in names)
    assert isinstance(
        granted(stored_rollout.now, CRITICAL, actor=token("oscars", "oscar", stored_rollout.now)), Override
    )


def test_an_account_that_the_first_owner_made_is_no_second_owner(app: Flask, stored_rollout: StoredRollout) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), approval_access_days=7))
    with transaction() as session:
        accounts.create_person(
            session, "sock", password="a long one for tests 1", role=Role.OWNER, now=stored_rollout.now, actor="alice"
        )
    granted(stored_rollout.now, CRITICAL)
    with pytest.raises(Problem, match="alice gave sock access"):
        granted(stored_rollout.now, CRITICAL, actor="sock")


def test_of_tokens_that_share_a_name_each_maker_counts(stored_rollout: StoredRollout) -> None:
    token("deploy", "alice", stored_rollout.now)
    shared = token("deploy", "oscar", stored_rollout.now)
    for name in (shared, "alice", shared):
        assert isinstance(granted(stored_rollout.now, CRITICAL, actor=name), PendingOverride)
    assert isinstance(granted(stored_rollout.now, CRITICAL, actor="olivia"), Override)


def test_over_http_an_owners_own_token_is_no_second_owner(app: Flask, sign_in: Callable[[str], FlaskClient]) -> None:
    path, body = f"/api/alerts/{FLAG}/{CRITICAL}/override", {"minutes": 10, "reason": "A known fault."}
    alice = sign_in("alice")
    assert alice.post(path, json=body).status_code == 202
    made = alice.post("/api/tokens", json={"name": "mine", "type": "admin", "environment": "production"})
    headers = {"Authorization": made.get_json()["token"]}
    assert app.test_client().post(path, json=body, headers=headers).status_code == 202
