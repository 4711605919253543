"""The page of the checklists: what is done, what waits, and signing it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import check_job
from control_plane.checklists.guide import guide_plan
from control_plane.experiments.credits import FLAG
from tests.dashboards.browsing import page_text, write_session

PAGE = f"/rollouts/{FLAG}/checklists"
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
TRAINED = {"checklist": "success-criteria", "item": "training", "phase": "beta"}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def planned(app: Flask) -> None:
    begun = datetime.now(UTC) - timedelta(days=8)
    with write_session(app) as session:
        rollouts.plan(session, FLAG, guide_plan(begun), ChangeContext(begun, "system", "The guide."))
    with app.app_context():
        check_job.refresh(datetime.now(UTC))


def test_it_shows_what_checks_found_and_what_waits_for_a_person(sign_in: SignIn) -> None:
    page = page_text(sign_in("victor").get(PAGE).text)
    assert "The database migration is applied Done The schema is at version" in page
    assert "The team knows the new system To be signed Nobody has signed it yet." in page
    assert "Before anybody in production has it" in page
    assert "Sign…" not in page, "a viewer signs nothing"


def test_an_operator_signs_with_a_note_and_takes_it_back(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    signed = olga.post(PAGE, data={**TRAINED, "note": "Two afternoons."}, headers=HEADERS, follow_redirects=True)
    assert "Signed: The team knows the new system." in page_text(signed.text)
    assert "Two afternoons." in page_text(signed.text)
    data = {**TRAINED, "withdraw": "1", "note": "Half of it was away."}
    back = olga.post(PAGE, data=data, headers=HEADERS, follow_redirects=True)
    assert "The signature is taken back." in page_text(back.text)
    assert "Two afternoons." not in page_text(back.text)


def test_a_refusal_keeps_what_was_written(sign_in: SignIn) -> None:
    data = {**TRAINED, "note": "See <here>", "link": "file:///etc/passwd"}
    refused = sign_in("olga").post(PAGE, data=data, headers=HEADERS)
    assert refused.status_code == 422
    assert "A link begins with https:// or http://." in page_text(refused.text)
    assert "See &lt;here&gt;</textarea>" in refused.text
    assert 'value="file:///etc/passwd"' in refused.text


def test_a_viewer_may_not_sign(sign_in: SignIn) -> None:
    assert sign_in("victor").post(PAGE, data={**TRAINED, "note": "x"}, headers=HEADERS).status_code == 403


def test_the_rollout_leads_to_its_checklists(sign_in: SignIn) -> None:
    assert f'href="{PAGE}"' in sign_in("victor").get(f"/rollouts/{FLAG}").text
