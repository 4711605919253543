"""Rolling back from wherever one is."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Rollout
from dashboards.view_models import roll_back as screens
from tests.dashboards.browsing import page_text, write_session

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
SignIn = Callable[[str], FlaskClient]


def test_every_page_leads_there_for_those_who_may(sign_in: SignIn, planned: Rollout) -> None:
    for path in ("/", "/audit", "/alerts", f"/rollouts/{planned.flag}", "/flags"):
        assert 'href="/roll-back"' in sign_in("olga").get(path).text
        assert 'href="/roll-back"' not in sign_in("victor").get(path).text
    assert sign_in("victor").get("/roll-back", headers=HTML).status_code == 403


def test_a_reason_and_one_button_roll_back(
    sign_in: SignIn, planned: Rollout, current_rollout: Callable[[], Rollout]
) -> None:
    olga = sign_in("olga")
    page = olga.get("/roll-back").text
    assert f'formaction="/rollouts/{planned.flag}/rollback" name="everywhere" value="on"' in page
    answer = olga.post(
        f"/rollouts/{planned.flag}/rollback",
        data={"reason": "It burns.", "everywhere": "on"},
        headers=HTML,
        follow_redirects=True,
    )
    assert "It burns." in page_text(answer.text)
    assert current_rollout().latched
    assert "Nothing to roll back" in page_text(olga.get("/roll-back").text)


def test_many_are_searched(app: Flask, sign_in: SignIn, planned: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "LISTED_MAX", 1)
    now = datetime.now(UTC)
    with write_session(app) as session:
        rollouts.plan(session, "ZOOM", default_plan(now), ChangeContext(now, "tests", "Another."))
    olga = sign_in("olga")
    assert "1 of 2; search for the others." in page_text(olga.get("/roll-back").text)
    found = page_text(olga.get("/roll-back?q=zoom").text)
    assert "ZOOM" in found
    assert planned.flag not in found
    assert "No rollout like that" in page_text(olga.get("/roll-back?q=nothing").text)
