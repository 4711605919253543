"""Overrides over HTTP: who may set which, what each leaves behind, and that they end by themselves."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert
from werkzeug.test import TestResponse

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from flags import store
from flags.administration.overrides import sweep
from flags.client_features.refresher import REFRESHER
from flags.models import FlagOverride
from flags.store import Effect
from flags.unleash.named_users import ALLOWED_MAX, DENIED_MAX
from tests.installation import Installation

Call = Callable[..., TestResponse]
PATH = f"/api/flags/{FLAG}/overrides"
BECAUSE = {"reason": "Asked for by support."}


def is_on(call: Call, user_id: str) -> bool:
    answer = call(
        "POST", f"/ofrep/v1/evaluate/flags/{FLAG}", kind="client", json={"context": {"targetingKey": user_id}}
    )
    assert answer.status_code == 200, answer.text
    return bool(answer.get_json()["value"])


def test_who_is_allowed_is_in_before_any_phase_and_out_again_when_it_ends(call: Call) -> None:
    assert call("PUT", f"{PATH}/allow/ann", kind="admin", json=BECAUSE).status_code == 200
    assert is_on(call, "ann")
    assert not is_on(call, "bob")
    assert call("DELETE", f"{PATH}/allow/ann", kind="admin", json=BECAUSE).status_code == 204
    assert not is_on(call, "ann")


def test_a_denial_beats_an_allowance_and_every_phase(call: Call, installation: Installation) -> None:
    installation.move(3, 3)
    for effect in ("allow", "deny"):
        call("PUT", f"{PATH}/{effect}/ann", kind="admin", json=BECAUSE)
    assert not is_on(call, "ann")
    [segment] = call("GET", "/api/client/features", kind="client", headers={"Unleash-Client-Spec": "6.1.0"}).get_json()[
        "segments"
    ][:1]
    assert segment["constraints"][0]["operator"] == "NOT_IN"


def test_every_change_of_an_override_is_in_the_audit_trail(call: Call, app: Flask) -> None:
    call("PUT", f"{PATH}/deny/ann", kind="admin", json=BECAUSE)
    call("DELETE", f"{PATH}/deny/ann", kind="admin", json={"reason": "It was somebody else."})
    with app.app_context(), read_only() as session:
        removed, put = audit.latest(session, subject=f"rollout:{FLAG}", limit=2)
    assert (put.action, put.actor, put.reason) == ("override.put", "token:a admin token", BECAUSE["reason"])
    assert put.after is not None
    assert (put.before, put.after["userId"], put.after["effect"]) == (None, "ann", "deny")
    assert (removed.action, removed.after, removed.reason) == ("override.remove", None, "It was somebody else.")


def test_overrides_are_listed_with_reason_and_name(call: Call) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    call("PUT", f"{PATH}/allow/ann/of/accounts", kind="admin", json={**BECAUSE, "expiresAt": until})
    [override] = call("GET", PATH, kind="admin").get_json()["overrides"]
    assert override | {"createdAt": ""} == {
        "flag": FLAG,
        "userId": "ann/of/accounts",
        "effect": "allow",
        "reason": BECAUSE["reason"],
        "actor": "token:a admin token",
        "createdAt": "",
        "expiresAt": until,
    }


@pytest.mark.parametrize(
    ("user_id", "body", "code"),
    [
        ("ann", {}, "INVALID_BODY"),
        ("ann", {"reason": "  "}, "REASON_REQUIRED"),
        ("ann", {"reason": "x", "untl": "tomorrow"}, "INVALID_BODY"),
        ("ann", {"reason": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "INVALID_EXPIRY"),
        ("ann", {"reason": "x", "expiresAt": "2030-01-01"}, "INVALID_BODY"),
        ("ann%5C", {"reason": "x"}, "INVALID_USER_ID"),
        ("%20ann", {"reason": "x"}, "INVALID_USER_ID"),
    ],
)
def test_what_cant_be_meant_is_refused(call: Call, user_id: str, body: dict[str, Any], code: str) -> None:
    answer = call("PUT", f"{PATH}/allow/{user_id}", kind="admin", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, code)


def test_what_is_not_there_is_not_found(call: Call) -> None:
    missing = call("DELETE", f"{PATH}/allow/ann", kind="admin", json=BECAUSE)
    other = call("PUT", "/api/flags/OTHER/overrides/allow/ann", kind="admin", json=BECAUSE)
    assert (missing.get_json()["code"], other.get_json()["code"]) == ("OVERRIDE_NOT_FOUND", "ROLLOUT_NOT_FOUND")


@pytest.mark.parametrize(
    ("person", "asked", "allowed"),
    [
        ("alice", "PUT allow", True),
        ("olga", "PUT allow", False),
        ("olga", "PUT deny", True),
        ("victor", "PUT deny", False),
        ("olga", "DELETE deny", False),
    ],
)
@pytest.mark.usefixtures("installation")
def test_letting_in_asks_for_more_than_keeping_out(
    sign_in: Callable[[str], FlaskClient], person: str, asked: str, allowed: bool
) -> None:
    method, effect = asked.split()
    answer = sign_in(person).open(f"{PATH}/{effect}/ann", method=method, json=BECAUSE)
    assert answer.status_code == (200 if allowed else 403)


def test_an_override_stops_at_its_end_without_anybody_doing_anything(call: Call, app: Flask) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    with app.app_context(), transaction() as session:
        store.put_override(session, FLAG, "ann", Effect.ALLOW, ChangeContext(soon, "-", "-"), expires_at=soon)
    features = REFRESHER.get(app)
    assert is_on(call, "ann")
    before = features.current("production").feature_set
    time.sleep((soon - datetime.now(UTC)).total_seconds())
    assert features.current("production").feature_set.id > before.id
    assert features.current("production").feature_set.contents.digest != before.contents.digest


def test_ended_overrides_are_put_away_and_stay_away(app: Flask, installation: Installation, now: datetime) -> None:
    with app.app_context(), transaction() as session:
        for user_id, end in (("ann", now), ("bob", now + timedelta(days=1)), ("eve", None)):
            store.put_override(
                session, FLAG, user_id, Effect.ALLOW, ChangeContext(now, "-", "A trial."), expires_at=end
            )
        assert sweep(session, now) == 1
        assert [override.user_id for override in store.list_overrides(session, FLAG)] == ["bob", "eve"]
        [entry] = audit.latest(session, subject=f"rollout:{FLAG}", limit=1)
        assert (entry.action, entry.actor, entry.reason) == ("override.expire", "system", "A trial.")


def test_beyond_a_hundred_the_server_answers_and_every_change_says_so(
    call: Call, app: Flask, installation: Installation
) -> None:
    began = datetime.now(UTC)
    with app.app_context(), transaction() as session:
        for number in range(ALLOWED_MAX):
            change = ChangeContext(began + timedelta(microseconds=number), "-", "A trial.")
            store.put_override(session, FLAG, f"user-{number:03}", Effect.ALLOW, change)
    assert "warning" not in call("GET", PATH, kind="admin").get_json()
    last = call("PUT", f"{PATH}/allow/the-last", kind="admin", json=BECAUSE)
    assert "101 users by name" in last.get_json()["warning"]
    assert "the other 1 are answered by this server alone" in call("GET", PATH, kind="admin").get_json()["warning"]
    assert is_on(call, "the-last"), "the server knows everybody"
    segments = call("GET", "/api/client/features", kind="client", headers={"Unleash-Client-Spec": "5.2.0"}).get_json()[
        "segments"
    ]
    (values,) = [each["constraints"][0]["values"] for each in segments]
    assert (len(values), "the-last" in values) == (ALLOWED_MAX, False)


def test_overrides_are_listed_a_page_at_a_time(call: Call) -> None:
    for user in ("ann", "bob", "eve"):
        call("PUT", f"{PATH}/deny/{user}", kind="admin", json=BECAUSE)
    call("PUT", f"{PATH}/allow/bob", kind="admin", json=BECAUSE)
    first = call("GET", f"{PATH}?limit=2", kind="admin").get_json()
    assert ([each["userId"] for each in first["overrides"]], first["next"]) == (["ann", "bob", "bob"], "bob")
    rest = call("GET", f"{PATH}?limit=2&cursor=bob", kind="admin").get_json()
    assert ([each["userId"] for each in rest["overrides"]], "next" in rest) == (["eve"], False)
    for wrong in ("0", "1001", "many", "-1"):
        assert call("GET", f"{PATH}?limit={wrong}", kind="admin").get_json()["code"] == "INVALID_PARAMETER"


def test_who_is_kept_out_beyond_any_number_is_sent_and_one_too_many_is_refused(
    call: Call, app: Flask, now: datetime
) -> None:
    fields = {"flag": FLAG, "effect": Effect.DENY.value, "reason": "-", "actor": "-", "created_at": now}
    with app.app_context(), transaction() as session:
        session.execute(insert(FlagOverride), [{**fields, "user_id": f"user-{number}"} for number in range(DENIED_MAX)])
    refused = call("PUT", f"{PATH}/deny/one-more", kind="admin", json=BECAUSE)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "TOO_MANY_KEPT_OUT")
    assert "by an attribute that the plan asks for, hold the rollout" in refused.get_json()["detail"]
    assert call("PUT", f"{PATH}/deny/user-7", kind="admin", json=BECAUSE).status_code == 200, "no further name"
    assert call("PUT", f"{PATH}/allow/one-more", kind="admin", json=BECAUSE).status_code == 200
    body = call("GET", "/api/client/features", kind="client", headers={"Unleash-Client-Spec": "6.1.0"}).get_json()
    lists = [each["constraints"][0] for each in body["segments"] if each["constraints"][0]["operator"] == "NOT_IN"]
    assert sum(len(each["values"]) for each in lists) == DENIED_MAX
