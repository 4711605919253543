"""A flag with a rollout of its own in staging, from first to last: by API, by page, and by people with few rights."""

from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.platform.auth import account_store, accounts
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Grant, Role
from tests import people

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
FLAG, STAGING = "SEARCH", "SEARCH@staging"
EVERYONE = {"name": "everyone", "title": "Everyone", "audience": "everyone", "steps": [50, 100], "soak": "PT0S"}


def call(client: FlaskClient, method: str, path: str, **body: object) -> Any:
    return client.open(f"/api{path}", method=method, json=body, headers=SAME_ORIGIN)


def post(client: FlaskClient, path: str, **form: object) -> str:
    """Return the text of the page after a form was sent."""
    return unescape(client.post(path, data=form, headers=SAME_ORIGIN, follow_redirects=True).get_data(as_text=True))


@pytest.fixture
def alice(app: Flask, sign_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """An admin, and a flag whose rollout has opened development and staging."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        rollouts.REARM_GATES.set(app, {})
    client = sign_in("alice")
    made = call(client, "POST", "/rollouts", flag=FLAG, template="percentage-ramp")
    assert made.status_code == 201, made.json
    return client


@pytest.fixture
def staging(alice: FlaskClient) -> dict[str, Any]:
    plan = {"phases": [EVERYONE], "new_signups_after": "2026-01-01T00:00:00Z"}
    made = call(alice, "POST", "/rollouts", flag=FLAG, environment="staging", plan=plan, confirmLosing=True)
    assert made.status_code == 201, made.json
    return dict(made.json)


@pytest.fixture
def dora(app: Flask, alice: FlaskClient) -> FlaskClient:
    """Owner of the flag in staging, and nothing but a viewer elsewhere."""
    now = datetime.now(UTC)
    with app.app_context(), transaction() as session:
        added = account_store.add_person(
            session, username="dora", password_hash=people.PASSWORD_HASH, role=Role.VIEWER, now=now
        )
        assert added is not None
        accounts.change_grants(session, added.id, grants=[Grant(Role.OWNER, FLAG, "staging")], now=now, actor="alice")
    return people.signed_in(app, "dora")


def test_it_is_made_moved_seen_and_given_back_over_the_api(alice: FlaskClient, staging: dict[str, Any]) -> None:
    assert (staging["flag"], staging["environment"], staging["percentage"]) == (STAGING, "staging", 50)
    listed = {each["flag"]: each.get("environment") for each in alice.get("/api/rollouts").get_json()["rollouts"]}
    assert listed == {FLAG: None, STAGING: "staging"}
    shown = alice.get(f"/api/rollouts/{STAGING}").get_json()
    assert shown["plan"]["environment"] == "staging"
    assert (
        call(alice, "POST", f"/rollouts/{STAGING}/advance", expectedVersion=1, reason="Fine.").get_json()["percentage"]
        == 100
    )
    assert alice.get(f"/api/rollouts/{FLAG}").get_json()["percentage"] == 100
    assert alice.get(f"/api/flags/{FLAG}").get_json()["rollouts"] == {"staging": STAGING}
    for place, decides in (("staging", STAGING), ("development", FLAG)):
        answer = alice.get(f"/api/flags/{FLAG}/explain?userId=u-1&environment={place}").get_json()
        assert (answer["rollout"], answer["value"]) == (decides, True)
    subjects = {each["subject"] for each in alice.get(f"/api/audit?flag={FLAG}").get_json()["entries"]}
    assert subjects == {f"rollout:{FLAG}", f"rollout:{STAGING}"}
    refused = call(alice, "DELETE", f"/rollouts/{STAGING}", expectedVersion=2, reason="Done.")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "RETURN_GAINS_USERS")
    gone = call(alice, "DELETE", f"/rollouts/{STAGING}", expectedVersion=2, reason="Done.", confirmGaining=True)
    assert gone.status_code == 200, gone.json
    assert alice.get(f"/api/flags/{FLAG}/explain?userId=u-1&environment=staging").get_json()["rollout"] == FLAG
    subjects = {each["subject"] for each in alice.get(f"/api/audit?flag={FLAG}").get_json()["entries"]}
    assert f"rollout:{STAGING}" in subjects, "the trail of one that is gone is found under its flag"


def test_a_plan_names_what_does_not_fit_into_one_environment(alice: FlaskClient) -> None:
    plan = {
        "environment": "staging",
        "new_signups_after": "2026-01-01T00:00:00Z",
        "phases": [
            {
                "name": "a",
                "title": "A",
                "audience": "environments",
                "steps": [100],
                "soak": "P1D",
                "environments": ["x"],
            },
            {**EVERYONE, "users_maximum": 5},
        ],
    }
    refused = call(alice, "POST", "/rollouts", flag=FLAG, plan=plan)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "INVALID_PLAN")
    assert "a plan of staging opens that environment alone, not x" in refused.get_json()["detail"]
    assert "caps are measured in production alone; leave out users_maximum" in refused.get_json()["detail"]


@pytest.mark.parametrize("template", ["guide", "kill-switch", "percentage-ramp", "new-users-only", "region-by-region"])
def test_every_template_can_be_applied_for_an_environment(alice: FlaskClient, template: str) -> None:
    made = call(alice, "POST", "/rollouts", flag=f"{FLAG}@canary", template=template)
    assert made.status_code == 201, made.json
    assert made.get_json()["environment"] == "canary"
    preview = call(alice, "POST", f"/rollouts/{STAGING}/plan/preview", template=template).json
    assert [each["environment"] for each in preview["now"]] == ["staging"]
    assert preview["now"][0]["losses"], "whoever has it in staging by the flag's own rollout would lose it"


def test_pages_say_where_the_flags_own_rollout_decides_nothing(alice: FlaskClient, staging: dict[str, Any]) -> None:
    note = "In staging a rollout of its own decides."
    said = {place: alice.get(place).get_data(as_text=True).count(note) for place in ("/", f"/rollouts/{FLAG}")}
    assert said == {"/": 1, f"/rollouts/{FLAG}": 1}
    assert note not in alice.get(f"/rollouts/{STAGING}").get_data(as_text=True)


def test_whoever_has_a_role_in_staging_alone_moves_that_and_never_the_flag(
    dora: FlaskClient, staging: dict[str, Any]
) -> None:
    assert call(dora, "POST", f"/rollouts/{STAGING}/advance", expectedVersion=1, reason="Fine.").status_code == 200
    for method, path in (
        ("POST", f"/rollouts/{FLAG}/advance"),
        ("POST", f"/rollouts/{FLAG}/rearm"),
        ("POST", f"/rollouts/{FLAG}/hold"),
        ("POST", f"/rollouts/{FLAG}@canary/advance"),
        ("POST", f"/rollouts/{FLAG}@production/advance"),
        ("POST", "/rollouts/OTHER@staging/advance"),
        ("DELETE", f"/rollouts/{STAGING}"),
        ("PUT", f"/rollouts/{FLAG}/plan"),
    ):
        refused = call(dora, method, path, expectedVersion=2, reason="Mine.")
        assert (refused.status_code, refused.get_json()["code"]) == (403, "ROLE_REQUIRED"), path
    begun = call(dora, "POST", "/rollouts", flag=FLAG, environment="canary", template="kill-switch")
    assert (begun.status_code, begun.get_json()["code"]) == (403, "ROLE_REQUIRED")
    everywhere = call(dora, "POST", f"/rollouts/{STAGING}/rollback", reason="All of it.", everywhere=True)
    assert (everywhere.status_code, everywhere.get_json()["code"]) == (403, "ROLE_REQUIRED")
    assert call(dora, "POST", f"/rollouts/{STAGING}/rollback", reason="Mine.").get_json()["latch"] == "staging"
    assert dora.get(f"/api/rollouts/{FLAG}").get_json()["state"] == "running"


PLAN = """
environment: {}
new_signups_after: 2026-01-01T00:00:00Z
phases: [{{name: everyone, title: Everyone, audience: everyone, steps: [10, 100], soak: PT0S}}]
"""


def test_the_page_of_a_plan_begins_no_rollout_and_edits_no_other_than_its_own(
    alice: FlaskClient, dora: FlaskClient, app: Flask
) -> None:
    form = {"text": PLAN.format("staging"), "do": "save", "confirm": "yes", "reason": "Mine."}
    begun = dora.post(f"/rollouts/{STAGING}/plan", data=form, headers=SAME_ORIGIN)
    assert begun.status_code == 404
    assert alice.get(f"/api/rollouts/{STAGING}").status_code == 404
    plan = {"phases": [EVERYONE], "new_signups_after": "2026-01-01T00:00:00Z"}
    assert call(alice, "POST", "/rollouts", flag=FLAG, environment="staging", plan=plan, confirmLosing=True).json
    version = alice.get(f"/api/rollouts/{STAGING}").get_json()["version"]
    edited = alice.post(f"/rollouts/{FLAG}/plan", data={**form, "version": version}, headers=SAME_ORIGIN)
    assert edited.status_code == 409
    assert alice.get(f"/api/rollouts/{STAGING}").get_json()["plan_version"] == 1
    edited = dora.post(f"/rollouts/{STAGING}/plan", data={**form, "version": version}, headers=SAME_ORIGIN)
    assert (edited.status_code, alice.get(f"/api/rollouts/{STAGING}").get_json()["plan_version"]) == (303, 2)


def test_names_with_an_at_are_rollouts_of_environments_and_nothing_else(
    alice: FlaskClient, staging: dict[str, Any]
) -> None:
    created = call(alice, "POST", "/flags", name="X@staging", environments={"production": True}, reason="New.")
    assert (created.status_code, created.get_json()["code"]) == (400, "INVALID_DEFINITION")
    features = [
        {"name": "X@staging", "enabled": True, "strategies": []},
        {"name": "Y", "enabled": True, "strategies": []},
    ]
    taken = call(alice, "POST", "/environments/production/import", version=2, features=features)
    assert "X@staging" in str(taken.json), taken.json
    assert [each["name"] for each in alice.get("/api/flags").get_json()["flags"] if "@" in each["name"]] == []
    for method, path, body in (
        ("PATCH", "/people/2", {"grants": [{"role": "owner", "flag": STAGING}]}),
        (
            "POST",
            "/tokens",
            {"name": "t", "type": "admin", "role": "owner", "flags": [STAGING], "environment": "staging"},
        ),
    ):
        refused = call(alice, method, path, **body)
        assert refused.status_code == 422, (path, refused.json)
        assert "rollout" in refused.get_json()["detail"]
    kept_out = call(alice, "PUT", f"/flags/{STAGING}/overrides/deny/u-1", reason="Not them.")
    assert (kept_out.status_code, kept_out.get_json()["code"]) == (422, "NOT_OF_ONE_ENVIRONMENT")


def test_the_pages_name_both_and_lead_from_one_to_the_other(alice: FlaskClient, staging: dict[str, Any]) -> None:
    listed = unescape(alice.get("/").get_data(as_text=True))
    assert "SEARCH in staging" in listed
    page = unescape(alice.get(f"/rollouts/{FLAG}").get_data(as_text=True))
    assert f'href="/rollouts/{STAGING}">SEARCH in staging</a>' in page
    page = unescape(alice.get(f"/rollouts/{STAGING}").get_data(as_text=True))
    assert '<h1 class="flag">SEARCH in staging</h1>' in page
    assert f'href="/rollouts/{FLAG}">SEARCH</a>' in page
    assert "All users in staging" in page
    with alice.get(f"/live/rollouts/{STAGING}", buffered=False) as stream:
        assert "SEARCH in staging · Rollout" in unescape(b"".join(islice(stream.iter_encoded(), 5)).decode())
    assert alice.get(f"/rollouts/{STAGING}/plan").status_code == 200
    moved = post(alice, f"/rollouts/{STAGING}/advance", version=1, reason="Fine.")
    assert "100\u202f%" in moved or "100 %" in moved
    form = unescape(alice.get(f"/rollouts/{STAGING}/rollback").get_data(as_text=True))
    assert "serves everybody in staging from the next request on" in form
    assert 'name="everywhere"' not in form
    off = unescape(alice.get("/roll-back").get_data(as_text=True))
    assert f'formaction="/rollouts/{STAGING}/rollback">' in off
    assert "Rolled back" in post(alice, f"/rollouts/{STAGING}/rollback", reason="Errors.")
    assert alice.get(f"/api/rollouts/{FLAG}").get_json()["state"] == "running"


def test_it_is_planned_on_a_page(alice: FlaskClient) -> None:
    begun = unescape(alice.get(f"/new-rollout?flag={STAGING}&template=percentage-ramp").get_data(as_text=True))
    assert "environment: staging" in begun
    text = begun.partition('name="text"')[2].partition(">")[2].partition("</textarea>")[0]
    preview = post(alice, "/new-rollout", flag=STAGING, text=text, do="preview")
    assert "The environment as a whole: from on to off." in preview
    saved = post(alice, "/new-rollout", flag=STAGING, text=text, do="save", confirm="yes", reason="Staging goes ahead.")
    assert '<h1 class="flag">SEARCH in staging</h1>' in saved
