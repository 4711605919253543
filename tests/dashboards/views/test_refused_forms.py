"""A form that is refused is shown again with what was written in it, on a page that can be had again."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from credits_engine.billing.store import findings
from credits_engine.billing.store.findings import Finding
from flags.store import UserAttributes
from tests.dashboards.browsing import write_session
from tests.installation import Installation

pytestmark = [pytest.mark.database("sqlite"), pytest.mark.usefixtures("planned")]

PAGE = f"/rollouts/{FLAG}"
WRITTEN = "The numbers were checked by hand."

SignIn = Callable[[str], FlaskClient]


def test_an_advance_that_a_gate_forbids_keeps_the_approval(sign_in: SignIn, planned: Rollout) -> None:
    answer = sign_in("alice").post(f"{PAGE}/advance", data={"version": planned.version, "reason": WRITTEN})
    assert answer.status_code == 409
    assert WRITTEN in answer.text
    assert "The soak time of this step lasts until" in answer.text


def test_what_is_past_leads_back_to_the_rollout(sign_in: SignIn) -> None:
    answer = sign_in("alice").post(f"{PAGE}/resume", data={"reason": WRITTEN})
    assert answer.location == PAGE


def test_an_overruling_that_is_too_long_keeps_its_reason_and_its_length(sign_in: SignIn) -> None:
    path = f"/alerts/{FLAG}/credit_variance/override"
    answer = sign_in("alice").post(path, data={"form": "override", "minutes": "60000", "reason": WRITTEN})
    assert answer.status_code == 422
    assert f'value="{WRITTEN}"' in answer.text


def test_a_finding_that_nobody_can_correct_keeps_the_reason_of_its_own_form(app: Flask, sign_in: SignIn) -> None:
    with write_session(app) as session:
        for number in (1, 2):
            found = Finding("gone", f"sub_{number}", None, "We rely on this subscription, and Stripe does not have it.")
            findings.add(session, [found], now=datetime.now(UTC))
    answer = sign_in("alice").post(
        "/billing/findings/1", data={"form": "finding-1", "order": "apply", "reason": WRITTEN}
    )
    assert answer.status_code >= 400
    assert answer.text.count(WRITTEN) == 1


def test_the_page_of_a_refused_form_leads_to_where_it_can_be_had_again(app: Flask, sign_in: SignIn) -> None:
    Installation(app).users(UserAttributes("u-1", "free", None))
    browser = sign_in("alice")
    form = {"form": "adjust", "user": "u-1", "reason": ""}
    for before in ("/credits?user=u-1", "/credits/adjust", "https://elsewhere.example/credits?user=u-1"):
        page = browser.post("/credits/adjust", data=form, headers={"Referer": f"http://localhost{before}"}).text
        refresh = re.search('class="refresh" href="([^"]+)"', page)
        assert refresh is not None
        assert browser.get(refresh[1]).status_code == 200
