"""A segment as the audience of a phase, over HTTP: taken when a plan is applied, and never behind the plan's back."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from flags.store import UserAttributes, upsert_users

Call = Callable[..., TestResponse]
Fields = dict[str, Any]
SEGMENT_PATH = "/api/environments/production/segments/3"
ROLLOUT_PATH = "/api/rollouts/SEARCH"
WHY = {"reason": "A test."}
PLANS = ("free", "pro", "team")


def phase(name: str, **fields: Any) -> Fields:
    return {"name": name, "title": name.capitalize(), "steps": [100], "soak": "PT0S", **fields}


def plan(*audiences: Fields) -> Fields:
    """Return a plan that begins in staging, then opens phases of attributes one after the other."""
    phases = [phase("staging", audience="environments", environments=["staging"])]
    phases += [phase(f"part-{number}", audience="attributes", **each) for number, each in enumerate(audiences)]
    return {"new_signups_after": "2026-07-01T00:00:00Z", "phases": phases}


def constraints(*plans: str) -> Fields:
    return {"constraints": [{"context_name": "plan", "operator": "IN", "values": list(plans)}]}


BETA = {"segment": "beta"}


def put_segment(call: Call, version: int, *plans: str) -> None:
    wire = {"contextName": "plan", "operator": "IN", "values": list(plans)}
    body = {"version": version, "name": "beta", "constraints": [wire], **WHY}
    answer = call("PUT", SEGMENT_PATH, kind="admin", json=body)
    assert answer.status_code == 200, answer.json


def apply(call: Call, wanted: Fields, **fields: Any) -> TestResponse:
    body = {"plan": wanted, "expectedVersion": detail(call)["version"], **WHY, **fields}
    return call("PUT", f"{ROLLOUT_PATH}/plan", kind="admin", json=body)


def advance(call: Call) -> None:
    body = {"expectedVersion": detail(call)["version"], **WHY}
    answer = call("POST", f"{ROLLOUT_PATH}/advance", kind="admin", json=body)
    assert answer.status_code == 200, answer.json


def detail(call: Call) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = call("GET", ROLLOUT_PATH, kind="admin").get_json()
    return answer


def exposed(call: Call) -> set[str]:
    """Return the users who have the flag, according to an evaluation; each is named like their plan."""
    path = "/ofrep/v1/evaluate/flags/SEARCH"
    return {
        each
        for each in PLANS
        if call("POST", path, kind="client", json={"context": {"targetingKey": each}}).get_json()["value"]
    }


@pytest.fixture(autouse=True)
def rollout(app: Flask, call: Call, now: Any) -> None:
    """A rollout that has reached the segment of those on the plans pro and team."""
    with app.app_context(), transaction() as session:
        upsert_users(session, [UserAttributes(name, name) for name in PLANS], now=now)
    put_segment(call, 0, "pro", "team")
    made = call("POST", "/api/rollouts", kind="admin", json={"flag": "SEARCH", "plan": plan(BETA)})
    assert made.status_code == 201, made.json
    assert exposed(call) == set()
    advance(call)


def test_a_segment_that_is_narrowed_moves_nobody_until_the_loss_is_confirmed(call: Call) -> None:
    assert (exposed(call), detail(call)["segment_notices"]) == ({"pro", "team"}, [])
    put_segment(call, 1, "pro")
    assert exposed(call) == {"pro", "team"}
    assert detail(call)["segment_notices"] == [
        (
            "Segment beta was changed after the plan took its conditions; phase Part-0 keeps those until the plan is "
            "applied again."
        )
    ]
    preview = call("POST", f"{ROLLOUT_PATH}/plan/preview", kind="admin", json={"plan": plan(BETA)}).get_json()
    lost = "Customers of segment beta, whose plan is pro or team: from 100 % to 0 %."
    assert (preview["now"][0]["users_losing"], preview["now"][0]["losses"]) == (1, [lost])
    refused = apply(call, plan(BETA))
    assert (refused.status_code, refused.get_json()["code"]) == (409, "STEP_LOSES_USERS")
    assert exposed(call) == {"pro", "team"}
    taken = apply(call, plan(BETA), confirmLosing=True)
    assert taken.get_json()["plan"]["phases"][1]["segment"] == "beta"
    assert taken.get_json()["plan"]["phases"][1]["constraints"][0]["values"] == ["pro"]
    assert (exposed(call), detail(call)["segment_notices"]) == ({"pro"}, [])


def test_a_segment_that_is_widened_lets_somebody_in_by_an_advance_alone(call: Call) -> None:
    put_segment(call, 1, "pro", "team", "free")
    assert exposed(call) == {"pro", "team"}
    refused = apply(call, plan(BETA))
    assert (refused.status_code, refused.get_json()["code"]) == (409, "PLAN_GAINS_USERS")
    assert apply(call, plan(constraints("pro", "team"), BETA)).status_code == 200
    assert exposed(call) == {"pro", "team"}
    advance(call)
    assert exposed(call) == {"pro", "team", "free"}


def test_an_earlier_plan_is_restored_with_the_conditions_that_it_had(call: Call) -> None:
    put_segment(call, 1, "pro")
    assert apply(call, plan(BETA), confirmLosing=True).status_code == 200
    # Back at the lowest step, where more customers may be asked for later.
    body = {"expectedVersion": detail(call)["version"], **WHY}
    assert call("POST", f"{ROLLOUT_PATH}/step-back", kind="admin", json=body).status_code == 200
    body = {"expectedVersion": detail(call)["version"], **WHY}
    restored = call("POST", f"{ROLLOUT_PATH}/plan/versions/1/restore", kind="admin", json=body)
    assert restored.get_json()["plan"]["phases"][1]["constraints"][0]["values"] == ["pro", "team"]
    assert len(detail(call)["segment_notices"]) == 1


def test_an_explanation_and_the_trail_name_the_segment(app: Flask, call: Call) -> None:
    found = call("GET", "/api/flags/SEARCH/explain?userId=pro", kind="admin").get_json()
    assert found["detail"] == (
        "This user is one of the customers of segment beta, whose plan is pro or team, and all of those are in."
    )
    put_segment(call, 1, "pro")
    apply(call, plan(BETA), confirmLosing=True)
    with app.app_context(), read_only() as session:
        entry = audit.to_json(audit.latest(session, subject="rollout:SEARCH")[0])
    before, after = (json.loads(json.dumps(entry[name])) for name in ("before", "after"))
    taken = [each["plan"]["phases"][1] for each in (before, after)]
    assert [each["constraints"][0]["values"] for each in taken] == [["pro", "team"], ["pro"]]
    assert taken[1]["segment"] == "beta"
    assert "-    - team" in after["evidence"]["diff"]


def test_a_segment_that_a_plan_names_keeps_its_name_and_place_until_the_plan_lets_it_go(call: Call) -> None:
    (listed,) = call("GET", SEGMENT_PATH.rpartition("/")[0], kind="admin").get_json()["segments"]
    assert (listed["flags"], listed["plans"]) == ([], ["SEARCH"])
    removed = call("DELETE", SEGMENT_PATH, kind="admin", json={"version": 1, **WHY})
    assert (removed.status_code, removed.get_json()["code"]) == (409, "SEGMENT_IN_PLANS")
    assert removed.get_json()["plans"] == ["SEARCH"]
    renaming = {"version": 1, "name": "alpha", "constraints": [], **WHY}
    renamed = call("PUT", SEGMENT_PATH, kind="admin", json=renaming)
    assert (renamed.status_code, renamed.get_json()["code"]) == (409, "SEGMENT_IN_PLANS")
    assert apply(call, plan(constraints("pro", "team"))).status_code == 200
    assert call("DELETE", SEGMENT_PATH, kind="admin", json={"version": 1, **WHY}).status_code == 204
    assert exposed(call) == {"pro", "team"}


def test_of_two_segments_with_one_name_either_may_go_and_none_is_taken_meanwhile(call: Call) -> None:
    wire = {"contextName": "plan", "operator": "IN", "values": ["pro"]}
    other = SEGMENT_PATH.replace("3", "4")
    body = {"version": 0, "name": "beta", "constraints": [wire], **WHY}
    assert call("PUT", other, kind="admin", json=body).status_code == 200
    refused = apply(call, plan(BETA))
    assert refused.get_json()["errors"] == [
        {
            "field": "phases.1.segment",
            "message": "names one of 2 segments of production with this name; rename the others.",
        }
    ]
    assert "can't be taken any more" in detail(call)["segment_notices"][0]
    assert call("DELETE", other, kind="admin", json={"version": 1, **WHY}).status_code == 204
    assert detail(call)["segment_notices"] == []


def test_the_same_conditions_by_name_are_the_same_step(call: Call) -> None:
    apply(call, plan(constraints("pro", "team")))
    begun = detail(call)["entered_at"]
    assert apply(call, plan(BETA)).get_json()["plan"]["phases"][1]["segment"] == "beta"
    assert detail(call)["entered_at"] == begun
    assert detail(call)["plan_version"] == 3


def test_a_plan_without_segments_is_stored_as_before(call: Call) -> None:
    """A process of an older release, which knows no segments in plans, goes on reading it."""
    apply(call, plan(constraints("pro", "team")))
    assert all("segment" not in each for each in detail(call)["plan"]["phases"])
