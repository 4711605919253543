"""Plans over HTTP: made, read, edited, previewed, restored; refused in words; bad input never is a 500."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG as CREDITS
from control_plane.plans import document
from control_plane.platform.db.database import transaction
from tests.statements import noted

SignIn = Callable[[str], FlaskClient]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PLAN: dict[str, Any] = {
    "new_signups_after": "2026-07-01T00:00:00Z",
    "phases": [{"name": "all", "title": "All", "audience": "everyone", "steps": [10, 100], "soak": "P1D"}],
}
BASE = "/api/rollouts"


def send(client: FlaskClient, method: str, path: str, body: object) -> Any:
    return client.open(f"{BASE}{path}", method=method, json=body, headers=SAME_ORIGIN)


@pytest.fixture
def alice(sign_in: SignIn) -> FlaskClient:
    """The owner, and a rollout of SEARCH."""
    client = sign_in("alice")
    made = send(client, "POST", "", {"flag": "SEARCH", "plan": {**PLAN, "owner": "alice", "tags": ["web"]}})
    assert (made.status_code, made.get_json()["phase"], made.get_json()["percentage"]) == (201, "all", 10)
    assert (made.get_json()["owner"], made.get_json()["tags"], made.get_json()["type"]) == ("alice", ["web"], "release")
    return client


def test_a_flag_is_made_from_a_template(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for template in alice.get("/api/plan-templates").get_json()["templates"]:
        made = send(alice, "POST", "", {"flag": f"T.{template['name']}", "template": template["name"]})
        assert made.status_code == 201, made.json
        assert made.get_json()["plan"]["phases"][0]["name"] == template["plan"]["phases"][0]["name"]
    unknown = send(alice, "POST", "", {"flag": "X", "template": "nonsense"})
    assert (unknown.status_code, unknown.get_json()["code"]) == (422, "UNKNOWN_TEMPLATE")


def test_what_is_read_can_be_sent_back(alice: FlaskClient) -> None:
    read = alice.get(f"{BASE}/SEARCH/plan").get_json()
    assert (read["version"], read["plan_version"]) == (1, 1)
    same = send(alice, "PUT", "/SEARCH/plan", {"plan": read["plan"], "reason": "x", "expectedVersion": 1})
    assert (same.status_code, same.get_json()["plan_version"]) == (200, 1)
    written = alice.get(f"{BASE}/SEARCH/plan?format=yaml")
    assert written.mimetype == "application/yaml"
    parsed = document.parse(written.text)
    assert (parsed.flag, document.to_value(parsed.plan)) == ("SEARCH", read["plan"])
    assert yaml.safe_load(written.text)["flag"] == "SEARCH"
    assert alice.get(f"{BASE}/SEARCH/plan?format=xml").status_code == 422
    assert alice.get("/api/plan-schema").get_json()["properties"]["phases"]


def test_an_edit_is_a_version_that_can_be_restored(alice: FlaskClient) -> None:
    body = {"plan": {**PLAN, "owner": "bob"}, "reason": "Hand over.", "expectedVersion": 1}
    assert send(alice, "PUT", "/SEARCH/plan", body).get_json()["plan_version"] == 2
    stale = send(alice, "PUT", "/SEARCH/plan", {**body, "plan": PLAN})
    assert (stale.status_code, stale.get_json()["code"]) == (409, "VERSION_CONFLICT")
    versions = alice.get(f"{BASE}/SEARCH/plan/versions").get_json()["versions"]
    assert [(each["number"], each["reason"]) for each in versions] == [(2, "Hand over."), (1, "Planned.")]
    assert alice.get(f"{BASE}/SEARCH/plan/versions/1").get_json()["plan"]["owner"] == "alice"
    path = "/SEARCH/plan/versions/1/restore"
    restored = send(alice, "POST", path, {"reason": "Back.", "expectedVersion": 2})
    assert (restored.get_json()["plan_version"], restored.get_json()["owner"]) == (3, "alice")
    missing = send(alice, "POST", "/SEARCH/plan/versions/99/restore", {"reason": "x", "expectedVersion": 3})
    assert (missing.status_code, missing.get_json()["code"]) == (404, "PLAN_VERSION_NOT_FOUND")


def test_a_preview_says_who_gains_and_what_would_be_refused(alice: FlaskClient) -> None:
    wider = {**PLAN, "phases": [{**PLAN["phases"][0], "name": "other", "steps": [50, 100]}]}
    found = send(alice, "POST", "/SEARCH/plan/preview", {"plan": wider}).json
    assert found["exists"]
    assert [each["code"] for each in found["refusals"]] == ["PLAN_GAINS_USERS"]
    anew = send(alice, "POST", "/NEW/plan/preview", {"template": "kill-switch"}).json
    assert (anew["exists"], anew["now"][0]["environment"], anew["refusals"]) == (False, "production", [])
    assert alice.get(f"{BASE}/NEW").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"flag": "OTHER", "plan": PLAN}),
        ("PUT", "/SEARCH/plan", {"plan": PLAN, "reason": "x", "expectedVersion": 1}),
        ("POST", "/SEARCH/plan/versions/1/restore", {"reason": "x", "expectedVersion": 1}),
    ],
)
def test_only_owners_change_plans(  # noqa: PLR0917 - three are parameters
    alice: FlaskClient, sign_in: SignIn, app: Flask, method: str, path: str, body: object
) -> None:
    assert alice is not None
    for name in ("victor", "olga"):
        assert send(sign_in(name), method, path, body).status_code == 403
    assert app.test_client().open(f"{BASE}{path}", method=method, json=body).status_code in (401, 403)
    crossed = alice.open(f"{BASE}{path}", method=method, json=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({**PLAN, "sook": 1}, "sook"),
        ({**PLAN, "phases": []}, "plan"),
        ({**PLAN, "phases": [{}]}, "phases.0.name"),
        ({**PLAN, "new_signups_after": "2026-07-01T00:00:00"}, "plan"),
        ({**PLAN, "tags": "web"}, "tags"),
        ({**PLAN, "phases": [{**PLAN["phases"][0], "steps": [10**30]}]}, "plan"),
        ({**PLAN, "phases": [{**PLAN["phases"][0], "soak": "P99999999999D"}]}, "phases.0.soak"),
        ({**PLAN, "phases": [{**PLAN["phases"][0], "soak": float("1e300")}]}, "phases.0.soak"),
        ({**PLAN, "phases": [PLAN["phases"][0]] * 60}, "plan"),
        ({}, "phases"),
    ],
)
def test_a_plan_with_mistakes_is_refused_field_by_field(alice: FlaskClient, plan: object, field: str) -> None:
    for method, path in (("POST", ""), ("PUT", "/SEARCH/plan")):
        body = {"plan": plan} | ({"flag": "OTHER"} if method == "POST" else {"reason": "x", "expectedVersion": 1})
        refused = send(alice, method, path, body)
        assert (refused.status_code, refused.get_json()["code"]) == (422, "INVALID_PLAN")
        assert field in {each["field"] for each in refused.get_json()["errors"]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"flag": "X"},
        {"flag": 5, "plan": PLAN},
        {"flag": "X", "plan": PLAN, "template": "guide"},
        {"flag": "X", "plan": []},
        {"flag": "X", "template": "guide", "newSignupsAfter": "2026-07-01"},
        {"flag": "X", "template": "guide", "newSignupsAfter": "0001-01-01T00:00:00+14:00"},
        {"flag": "", "plan": PLAN},
        {"flag": "a b", "plan": PLAN},
        {"flag": "X", "plan": PLAN, "surprise": 1},
        {"flag": "X", "plan": PLAN, "confirmLosing": "yes"},
    ],
)
def test_a_bad_body_is_a_problem_with_a_code(sign_in: SignIn, body: object) -> None:
    refused = send(sign_in("alice"), "POST", "", body)
    assert refused.status_code in (400, 422)
    assert refused.mimetype == "application/problem+json"


def test_a_list_is_filtered_and_paged(alice: FlaskClient) -> None:
    for number in range(5):
        body = {"flag": f"F{number}", "plan": {**PLAN, "tags": ["odd" if number % 2 else "even"], "owner": "Zoë"}}
        assert send(alice, "POST", "", body).status_code == 201
    found = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = alice.get(f"{BASE}?limit=2&cursor={cursor}").get_json()
        found += [each["flag"] for each in page["rollouts"]]
        cursor = page["next"]
    assert found == ["F0", "F1", "F2", "F3", "F4", "SEARCH"]
    assert [each["flag"] for each in alice.get(f"{BASE}?tag=odd").get_json()["rollouts"]] == ["F1", "F3"]
    assert len(alice.get(f"{BASE}?q=zoË").get_json()["rollouts"]) == 5
    assert alice.get(f"{BASE}?state=held").get_json()["rollouts"] == []
    for wrong in ("limit=0", "limit=x", "state=asleep", "surprise=1"):
        assert alice.get(f"{BASE}?{wrong}").status_code == 422


def test_five_hundred_flags_take_a_handful_of_queries(app: Flask, sign_in: SignIn) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with app.app_context(), transaction() as session:
        for number in range(500):
            rollouts.plan(session, f"F{number:03}", default_plan(now), ChangeContext(now, "alice", "x"))
    victor = sign_in("victor")
    victor.get(BASE)
    with app.app_context(), noted() as sent:
        assert len(victor.get(BASE).get_json()["rollouts"]) == 500
    assert len(sent) <= 5


def test_a_rollout_tells_when_it_moves_and_what_is_late(alice: FlaskClient) -> None:
    phase = {**PLAN["phases"][0], "advance": {"at": "2099-12-07T09:00", "zone": "Europe/Madrid"}}
    late = {**PLAN, "phases": [{**phase, "planned_start": "2026-01-01"}]}
    send(alice, "POST", "", {"flag": "LATE", "plan": late})
    found = alice.get(f"{BASE}/LATE").get_json()
    assert found["next_move"]["at"] == "2099-12-07T08:00:00+00:00"
    (dates,) = found["phases"]
    assert (dates["planned_start"], dates["days_late"] > 0) == ("2026-01-01", True)
    assert found["gates"][0]["opens_at"] is not None


def test_an_approval_is_given_over_http(alice: FlaskClient, sign_in: SignIn) -> None:
    phase = {**PLAN["phases"][0], "gates": {"approvals": {"quorum": 1, "roles": ["operator"]}}}
    send(alice, "POST", "", {"flag": "FOUR-EYES", "plan": {**PLAN, "phases": [phase]}})
    body = {"reason": "Read it.", "expectedVersion": 1}
    assert send(sign_in("victor"), "POST", "/FOUR-EYES/approve", body).status_code == 403
    own = send(alice, "POST", "/FOUR-EYES/approve", body)
    assert (own.status_code, own.get_json()["code"]) == (403, "ROLE_REQUIRED")
    given = send(sign_in("olga"), "POST", "/FOUR-EYES/approve", body)
    assert [each["role"] for each in given.get_json()["approvals"]] == ["operator"]
    assert alice.get(f"{BASE}/FOUR-EYES/approvals").json == given.json
    assert send(sign_in("olga"), "POST", "/SEARCH/approve", body).get_json()["code"] == "NO_APPROVAL_NEEDED"


def test_the_plan_of_the_guide_is_written_in_full(app: Flask, sign_in: SignIn) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with app.app_context(), transaction() as session:
        rollouts.plan(session, CREDITS, default_plan(now), ChangeContext(now, "alice", "The guide."))
    found = sign_in("victor").get(f"{BASE}/{CREDITS}/plan").get_json()["plan"]
    assert [phase["name"] for phase in found["phases"]] == ["development", "beta", "new-signups", "everyone"]
