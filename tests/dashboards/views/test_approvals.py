"""The page of approvals: who wants the next step or a change of the plan, and joining them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phase_gates import Approvals, ApproverRole, PhaseGates
from control_plane.core.phases import Plan
from control_plane.experiments.credits import FLAG
from tests.dashboards.browsing import page_text, write_session

PAGE = f"/rollouts/{FLAG}/approvals"
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
WANTED = PhaseGates(approvals=Approvals(1, (ApproverRole.OWNER, ApproverRole.APPROVER)))

SignIn = Callable[[str], FlaskClient]


def plan(app: Flask, gates: PhaseGates, by: str = "paula") -> None:
    begun = datetime.now(UTC) - timedelta(days=8)
    guide = default_plan(begun)
    asking = Plan((replace(guide.phases[0], gates=gates), *guide.phases[1:]), begun)
    with write_session(app) as session:
        rollouts.plan(session, FLAG, asking, ChangeContext(begun, by, "The guide."))


@pytest.fixture
def planned(app: Flask) -> None:
    plan(app, WANTED)


def approve(
    client: FlaskClient, of: str = "step", reason: str = "The numbers are good.", version: int = 1
) -> TestResponse:
    data = {"of": of, "reason": reason, "version": version}
    return client.post(PAGE, data=data, headers=HEADERS, follow_redirects=True)


@pytest.mark.usefixtures("planned")
def test_an_owner_approves_the_step_from_the_page_of_the_rollout(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    rollout = alice.get(f"/rollouts/{FLAG}").text
    assert f'<a href="{PAGE}">Approve…</a>' in rollout
    page = page_text(approve(alice).text)
    assert "Approved. It holds until the step or the plan changes." in page
    assert "Approved by alice." in page
    assert "The numbers are good." in page
    assert f'<a href="{PAGE}">Approve…</a>' not in alice.get(f"/rollouts/{FLAG}").text, "nothing is missing any more"


@pytest.mark.usefixtures("planned")
def test_an_approval_is_taken_back_with_a_reason(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert "Take my approval back" in approve(alice).text
    data = {"of": "step", "reason": "I saw another screen."}
    page = page_text(alice.post(f"{PAGE}/own", data=data, headers=HEADERS, follow_redirects=True).text)
    assert "Your approval is taken back." in page
    assert "0 of 1 approvals" in page
    again = alice.post(f"{PAGE}/own", data=data, headers=HEADERS)
    assert again.status_code == 409
    assert "alice approves nothing here that could be taken back." in page_text(again.text)


@pytest.mark.usefixtures("planned")
def test_an_approval_of_a_change_of_the_plan_leaves_the_step_closed(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    page = page_text(approve(alice, of="plan").text)
    assert page.count("Approved by alice.") == 1
    assert "0 of 1 approvals; 1 more is needed" in page


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("name", "changes", "status", "why"),
    [
        ("olga", {}, 403, "This is approved by the role owner or approver, and olga is operator."),
        ("alice", {"version": 7}, 409, "The rollout has changed since you saw it"),
        ("alice", {"reason": " "}, 422, "Say why: a reason is required."),
    ],
)
def test_a_refusal_says_why_and_keeps_what_was_written(
    sign_in: SignIn, name: str, changes: dict[str, str | int], status: int, why: str
) -> None:
    data: dict[str, str | int] = {"of": "step", "reason": "Looked at it.", "version": 1, **changes}
    refused = sign_in(name).post(PAGE, data=data, headers=HEADERS)
    assert refused.status_code == status
    assert why in page_text(refused.text)
    assert str(data["reason"]) in refused.text


@pytest.mark.usefixtures("planned")
def test_a_viewer_reads_and_approves_nothing(sign_in: SignIn) -> None:
    victor = sign_in("victor")
    page = victor.get(PAGE).text
    assert "0 of 1 approvals" in page_text(page)
    assert "<form" not in page.split("<main")[1].split("</main>")[0]
    assert approve(victor).status_code == 403


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("olga", "This is approved by the role owner or approver, and olga is operator."),
        ("alice", "alice made this plan, or a token of whoever did; somebody else approves its steps."),
    ],
)
def test_whoever_could_only_be_refused_is_told_why_and_offered_no_form(
    app: Flask, sign_in: SignIn, name: str, why: str
) -> None:
    plan(app, WANTED, by="alice")
    page = sign_in(name).get(PAGE).text
    assert why in page_text(page)
    assert "<form" not in page.split("<main")[1].split("</main>")[0]


def test_a_plan_that_asks_nobody_says_so(app: Flask, sign_in: SignIn) -> None:
    plan(app, PhaseGates())
    alice = sign_in("alice")
    assert "Nothing here waits for an approval." in page_text(alice.get(PAGE).text)
    assert PAGE not in alice.get(f"/rollouts/{FLAG}").text
