"""A segment in the plan of a rollout, on pages: chosen in the form, shown with its conditions, told when it changed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from flags.administration.segments import edit_segment
from tests.dashboards.browsing import page_text, read_session, write_session

SignIn = Callable[[str], FlaskClient]
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
SPANISH = {**HEADERS, "Accept-Language": "es"}
NOW = datetime.now(UTC)
PAGE = "/rollouts/SEARCH/plan"
PLAN = """
new_signups_after: 2026-07-01T00:00:00Z
phases:
  - {name: beta, title: Beta, audience: attributes, segment: beta, steps: [10, 100], soak: P1D}
"""
CHANGED = (
    "Segment beta was changed after the plan took its conditions; phase Beta keeps those until the plan is applied "
    "again."
)


def put_segment(app: Flask, name: str, number: int, version: int, *plans: str, environment: str = "production") -> None:
    fields = {"name": name, "constraints": [{"contextName": "plan", "operator": "IN", "values": list(plans)}]}
    with write_session(app) as session:
        edit_segment(session, environment, number, fields, ChangeContext(NOW, "tests", "A test."), version=version)


@pytest.fixture
def alice(app: Flask, sign_in: SignIn) -> FlaskClient:
    """The owner, and segments of two environments."""
    put_segment(app, "beta", 3, 0, "pro", "team")
    put_segment(app, "empty", 4, 0)
    put_segment(app, "testers", 3, 0, "pro", environment="staging")
    return sign_in("alice")


@pytest.fixture
def planned(alice: FlaskClient) -> None:
    """A rollout whose plan names a segment."""
    form = {"flag": "SEARCH", "text": PLAN, "do": "save"}
    assert alice.post("/new-rollout", data=form, headers=HEADERS).status_code == 303


def offered(page: str) -> list[str]:
    """Return the segments that the first phase of the form offers."""
    field = page.partition('<select id="phases.0.segment"')[2].partition("</select>")[0]
    return [each.partition('"')[0] for each in field.split('<option value="')[1:]]


def test_the_form_offers_the_segments_of_its_environment_that_can_be_had(alice: FlaskClient) -> None:
    assert offered(alice.get("/new-rollout?template=region-by-region").text) == ["", "beta"]
    assert offered(alice.get("/new-rollout?template=region-by-region&flag=SEARCH@staging").text) == ["", "testers"]


def test_a_segment_that_is_unknown_or_beside_conditions_is_named_at_its_field(alice: FlaskClient) -> None:
    form = {"flag": "SEARCH", "text": PLAN.replace("segment: beta", "segment: bet"), "do": "preview"}
    page = alice.post("/new-rollout", data=form, headers=HEADERS).text
    field = page.partition('id="phases.0.segment"')[2].partition("</div>")[0]
    assert "It names no segment of production; did you mean beta." in page_text(field)
    assert "Line 4, phases.0.segment: names no segment of production" in page_text(page)
    form |= {"text": PLAN, "base": PLAN, "phases.0.constraints": "plan IN pro"}
    assert "It stands beside constraints; keep one of the two." in page_text(
        alice.post("/new-rollout", data=form, headers=HEADERS).text
    )
    spanish = page_text(alice.post("/new-rollout", data=form, headers=SPANISH).text)
    assert "Este campo está junto a constraints; deje uno de los dos." in spanish


@pytest.mark.usefixtures("planned")
def test_pages_name_the_segment_and_say_when_it_was_changed(app: Flask, alice: FlaskClient) -> None:
    assert "Customers of segment beta (1 condition)" in page_text(alice.get("/rollouts/SEARCH").text)
    plan = page_text(alice.get(PAGE).text)
    assert "Taken from segments Beta Segment beta: plan is pro or team." in plan
    assert CHANGED not in plan
    put_segment(app, "beta", 3, 1, "pro")
    for path in ("/rollouts/SEARCH", PAGE):
        assert CHANGED in page_text(alice.get(path).text)
    assert "Change the plan takes them." in page_text(alice.get(PAGE).text)
    spanish = page_text(alice.get("/rollouts/SEARCH", headers=SPANISH).text)
    assert "Clientes del segmento beta (1 condición)" in spanish
    assert (
        "El segmento beta cambió después de que el plan tomara sus condiciones; la fase Beta conserva esas" in spanish
    )


@pytest.mark.usefixtures("planned")
def test_saving_the_plan_again_takes_the_conditions_once_the_loss_is_confirmed(app: Flask, alice: FlaskClient) -> None:
    put_segment(app, "beta", 3, 1, "pro")
    form = {"text": PLAN, "version": "1", "reason": "Fewer.", "do": "save"}
    refused = alice.post(PAGE, data=form, headers=HEADERS)
    assert (refused.status_code, "Users may lose the flag by this" in refused.text) == (409, True)
    assert alice.post(PAGE, data=form | {"confirm": "yes"}, headers=HEADERS).status_code == 303
    with read_session(app) as session:
        assert rollouts.find(session, "SEARCH").plan.phases[0].constraints[0].values == ("pro",)


@pytest.mark.usefixtures("planned")
def test_a_loss_that_was_confirmed_is_confirmed_for_the_conditions_that_were_shown(
    app: Flask, alice: FlaskClient
) -> None:
    form = {"text": PLAN, "version": "1", "reason": "Fewer.", "confirm": "yes"}
    seen = dict(re.findall(r'name="(segment_digest\.beta)" value="(\w+)"', alice.get(PAGE).text))
    put_segment(app, "beta", 3, 1, "pro")
    refused = alice.post(PAGE, data=form | seen | {"do": "save"}, headers=HEADERS)
    assert (refused.status_code, "Segment beta was changed since you saw it" in page_text(refused.text)) == (409, True)
    with read_session(app) as session:
        assert rollouts.find(session, "SEARCH").plan.phases[0].constraints[0].values == ("pro", "team")
    again = dict(re.findall(r'name="(segment_digest\.beta)" value="(\w+)"', refused.text))
    assert alice.post(PAGE, data=form | again | {"do": "save"}, headers=HEADERS).status_code == 303


@pytest.mark.usefixtures("planned")
def test_the_page_of_the_segment_leads_to_the_plan_and_keeps_it(app: Flask, alice: FlaskClient) -> None:
    page = alice.get("/segments/production/3").text
    assert f'href="{PAGE}"' in page
    assert "It can be removed once no flag refers to it and no plan names it." in page_text(page)
    assert "plan of SEARCH" in page_text(alice.get("/segments").text)
    form = {"version": "1", "name": "beta", "text": "[]", "do": "preview"}
    preview = page_text(alice.post("/segments/production/3/edit", data=form, headers=HEADERS).text)
    assert "The plan of SEARCH keeps the conditions that it took until it is applied again." in preview
    form = {"version": "1", "reason": "Away.", "form": "remove"}
    refused = alice.post("/segments/production/3/remove", data=form, headers=HEADERS)
    assert "Plans name 'beta': SEARCH. Write its conditions into those first." in page_text(refused.text)
