"""Plans on pages: a new rollout from a template, an edit with what it would change, and an earlier plan restored."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration, document
from control_plane.plans.yaml_text import CHARACTERS_MAX
from control_plane.platform.auth import audit
from tests.dashboards.browsing import page_text, read_session, write_session

SignIn = Callable[[str], FlaskClient]
PAGE = f"/rollouts/{FLAG}/plan"
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
RAMP = """
new_signups_after: 2026-07-01T00:00:00Z
phases:
  - {name: everyone, title: Everyone, audience: everyone, steps: [10, 100], soak: P1D}
"""


def text_of(page: str) -> str:
    """Return the plan in the text field of a page."""
    return unescape(page.partition('aria-describedby="text-hint">')[2].partition("</textarea>")[0])


def test_a_rollout_is_made_from_a_template_without_a_command_line(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert 'href="/new-rollout"' in alice.get("/").text
    page = alice.get("/new-rollout?template=percentage-ramp").text
    assert "The first step is in force as soon as the rollout is there" in page
    form = {"flag": "SEARCH_V2", "text": text_of(page), "do": "save"}
    made = alice.post("/new-rollout", data=form, headers=HEADERS, follow_redirects=True)
    assert "SEARCH_V2 has this plan now." in page_text(made.text)
    with read_session(app) as session:
        assert rollouts.find(session, "SEARCH_V2").plan.phases[-1].steps == (1, 5, 10, 25, 50, 100)


def test_a_preview_changes_nothing_and_says_who_gains(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    form = {"flag": "SEARCH_V2", "text": RAMP, "do": "preview"}
    page = sign_in("alice").post("/new-rollout", data=form, headers=HEADERS)
    assert page.status_code == 200
    assert "It can be taken as it is." in page_text(page.text)
    assert "Once every phase is done production: gain it" in page_text(page.text)
    with read_session(app) as session, pytest.raises(rollouts.UnknownRolloutError):
        rollouts.find(session, "SEARCH_V2")


def test_a_plan_is_changed_in_the_form_alone(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    alice = sign_in("alice")
    text = text_of(alice.get(PAGE).text)
    form = {"text": text, "base": text, "phases.1.soak": "3 days", "version": "1", "reason": "Faster.", "do": "save"}
    assert alice.post(PAGE, data=form, headers=HEADERS).status_code == 303
    with read_session(app) as session:
        assert rollouts.find(session, FLAG).plan.phases[1].soak.days == 3


def test_buttons_of_the_form_add_move_and_remove_phases_and_save_nothing(sign_in: SignIn, planned: Rollout) -> None:
    alice = sign_in("alice")
    text, titles = text_of(alice.get(PAGE).text), []
    for do in ("add", "earlier:4", "remove:0", "remove:99", "nonsense:1"):
        page = alice.post(PAGE, data={"text": text, "base": text, "version": "1", "do": do}, headers=HEADERS)
        assert page.status_code == 200
        text = text_of(page.text)
        titles = re.findall(r"<legend>\d\. (.*)</legend>", page.text)
    assert titles == ["Beta allowlist", "New signups first", "Phase 5", "Everyone"]


def test_a_mistake_stands_beside_its_field(sign_in: SignIn) -> None:
    form = {"flag": "SEARCH_V2", "text": RAMP, "base": RAMP, "phases.0.soak": "a while", "do": "preview"}
    page = sign_in("alice").post("/new-rollout", data=form, headers=HEADERS).text
    field = page.partition('id="phases.0.soak"')[2]
    assert 'value="a while"' in field.partition(">")[0]
    assert 'aria-invalid="true"' in field.partition(">")[0]
    assert "It is no duration" in field.partition("</div>")[0]


def test_every_mistake_is_named_with_its_line_and_the_text_stays(sign_in: SignIn) -> None:
    wrong = RAMP.replace("steps: [10, 100]", "steps: [ten]").replace("soak", "sok")
    form = {"flag": "SEARCH_V2", "text": wrong, "do": "save"}
    page = sign_in("alice").post("/new-rollout", data=form, headers=HEADERS)
    assert page.status_code == 422
    assert "did you mean soak" in page_text(page.text)
    assert "Line 4, phases.0.steps.0: is no whole number." in page_text(page.text)
    assert "steps: [ten]" in text_of(page.text)


def test_a_plan_that_is_too_long_is_refused_whole_and_never_cut(app: Flask, sign_in: SignIn) -> None:
    form = {"flag": "SEARCH_V2", "text": f"{RAMP}#{'x' * CHARACTERS_MAX}\nbeyond: 1\n", "do": "save"}
    page = sign_in("alice").post("/new-rollout", data=form, headers=HEADERS)
    assert (page.status_code, "longer than 200 000 characters" in page_text(page.text)) == (422, True)
    assert "beyond: 1" in text_of(page.text)


def test_a_plan_is_edited_with_a_reason_and_an_earlier_one_restored(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    alice = sign_in("alice")
    text = text_of(alice.get(PAGE).text).replace("served_minimum: 100", "served_minimum: 500")
    unreasoned = alice.post(PAGE, data={"text": text, "version": "1", "do": "save"}, headers=HEADERS)
    assert unreasoned.status_code == 409
    assert "a reason is required" in page_text(unreasoned.text)
    form = {"text": text, "version": "1", "reason": "More traffic.", "do": "save"}
    assert alice.post(PAGE, data=form, headers=HEADERS).status_code == 303
    with read_session(app) as session:
        assert rollouts.find(session, FLAG).plan.phases[1].served_minimum == 500
    page = alice.get(PAGE).text
    assert "Version 1" in page_text(page)
    back = {"version": "2", "reason": "It was enough."}
    restored = alice.post(f"{PAGE}/versions/1", data=back, headers=HEADERS, follow_redirects=True)
    assert "Version 1 is the plan again." in page_text(restored.text)
    with read_session(app) as session:
        assert rollouts.find(session, FLAG).plan == planned.plan
        changes = [(entry.actor, entry.action) for entry in audit.latest(session, subject=f"rollout:{FLAG}")]
    assert changes[:2] == [("alice", "rollout.edit_plan")] * 2


def test_an_earlier_plan_that_takes_the_flag_from_users_is_restored_once_that_is_confirmed(
    app: Flask, sign_in: SignIn
) -> None:
    alice, now = sign_in("alice"), datetime.now(UTC)
    half = Plan((Phase("everyone", "Everyone", "everyone", (10, 50), timedelta(0)),), now)
    with app.app_context(), write_session(app) as session:
        rollouts.ADVANCE_GATES.set(app, {})
        change = ChangeContext(now, "paula", "Half first.")
        rollouts.plan(session, "SEARCH", half, change)
        whole = replace(half, phases=(replace(half.phases[0], steps=(10, 50, 100)),))
        administration.edit(session, "SEARCH", whole, change, expected_version=1)
        for version in (2, 3):
            rollouts.advance(session, "SEARCH", change, expected_version=version)
    page = "/rollouts/SEARCH/plan"
    form = {"version": "4", "reason": "Half is enough."}
    refused = alice.post(f"{page}/versions/1", data=form, headers=HEADERS)
    assert refused.status_code == 409
    assert "takes the flag from 0 known users in production" in page_text(refused.text)
    assert 'name="confirm" value="yes"' in refused.text
    kept = text_of(refused.text)
    saved = alice.post(page, data={**form, "text": kept, "confirm": "yes", "do": "save"}, headers=HEADERS)
    assert saved.status_code == 303
    with read_session(app) as session:
        assert rollouts.find(session, "SEARCH").plan == half


def test_somebody_who_was_faster_is_said(sign_in: SignIn, planned: Rollout) -> None:
    form = {"text": document.to_yaml(planned.plan), "version": "7", "reason": "Late.", "do": "save"}
    page = sign_in("alice").post(PAGE, data=form, headers=HEADERS)
    assert page.status_code == 409
    assert "The rollout has changed since you saw it" in page_text(page.text)


def test_a_preview_does_not_hide_that_somebody_was_faster(sign_in: SignIn, planned: Rollout) -> None:
    alice = sign_in("alice")
    form = {"text": document.to_yaml(planned.plan), "version": "7", "reason": "Late."}
    page = alice.post(PAGE, data=form | {"do": "preview"}, headers=HEADERS).text
    version = page.partition('name="version" value="')[2].partition('"')[0]
    assert version == "7"
    told = alice.post(PAGE, data=form | {"do": "save", "version": version}, headers=HEADERS)
    assert told.status_code == 409
    assert 'name="version" value="1"' in told.text


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_others_read_a_plan_and_do_not_write_it(sign_in: SignIn, planned: Rollout, name: str) -> None:
    browser = sign_in(name)
    assert "<form method" not in browser.get(PAGE).text.partition("<main")[2]
    assert browser.post(PAGE, data={"text": RAMP, "do": "save"}, headers=HEADERS).status_code == 403
    assert browser.get("/new-rollout", headers=HEADERS).status_code == 403
    assert browser.post("/new-rollout", data={"text": RAMP}, headers=HEADERS).status_code == 403
