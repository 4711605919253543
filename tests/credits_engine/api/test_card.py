from datetime import UTC, datetime, timedelta

import jwt
import pytest
from werkzeug.test import TestResponse

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections
from tests.credits_engine.conftest import Consumer

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def signed_in_consumer(consumer: Consumer) -> Consumer:
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    return consumer


def card(consumer: Consumer, settings: Settings, query: str = "") -> TestResponse:
    expires = datetime.now(UTC) + timedelta(minutes=5)
    token = jwt.encode({"sub": "ada", "exp": expires}, settings.user_jwt_secret, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    return consumer.app.test_client().get(f"/embed/credits{query}", headers=headers)


@pytest.mark.parametrize(
    ("used", "level", "words"),
    [(74, "ok", "plenty left"), (75, "caution", "running low"), (90, "critical", "almost used up")],
)
def test_colour_is_never_the_only_sign(
    signed_in_consumer: Consumer, settings: Settings, used: int, level: str, words: str
) -> None:
    signed_in_consumer.take("ada", "k1", analysis=used)
    html = card(signed_in_consumer, settings).text
    assert f'class="credits-kind credits-{level}"' in html
    assert f"{used} of 100 used, <strong>{100 - used} left</strong>" in html
    assert f"({words})" in html
    assert ("Upgrade</a>" in html) is (used >= 80)


def test_the_page_keeps_the_strict_policy_and_needs_no_script(signed_in_consumer: Consumer, settings: Settings) -> None:
    response = card(signed_in_consumer, settings)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    for forbidden in ("<script", "style=", "onclick", "<style"):
        assert forbidden not in response.text
    assert response.headers["Cache-Control"] == "private, no-store"
    with signed_in_consumer.app.test_client().get("/embed/static/credits_card.css") as sheet:
        assert (sheet.status_code, sheet.mimetype) == (200, "text/css")
    assert "/embed/static/credits_card.css" in response.text


def test_the_badge_tells_when_legacy_serves_and_the_period_is_counted_down(
    signed_in_consumer: Consumer, settings: Settings
) -> None:
    html = card(signed_in_consumer, settings).text
    assert '<span class="credits-badge">Legacy</span>' in html
    assert "Renews in" in html
    assert "<time datetime=" in html


def test_a_fragment_has_no_head_and_json_has_the_figures(signed_in_consumer: Consumer, settings: Settings) -> None:
    fragment = card(signed_in_consumer, settings, "?form=fragment").text
    assert fragment.startswith("<section")
    assert "<html" not in fragment
    data = card(signed_in_consumer, settings, "?form=json").get_json()["data"]
    assert data["usage"]["roast"]["limit"] == 50
    assert card(signed_in_consumer, settings, "?form=pdf").status_code == 400


def test_unlimited_credits_have_no_bar(signed_in_consumer: Consumer, settings: Settings) -> None:
    signed_in_consumer.user("ada", "custom")
    html = card(signed_in_consumer, settings).text
    assert "0 used, unlimited" in html
    assert "<meter" not in html


def test_names_are_escaped(signed_in_consumer: Consumer, settings: Settings) -> None:
    with transaction() as session:
        corrections.freeze(session, "ada", ChangeContext(signed_in_consumer.now, "test", "<b>fraud</b>"))
    assert "&lt;b&gt;fraud&lt;/b&gt;" in card(signed_in_consumer, settings).text


def test_nobody_gets_a_card_without_a_token(signed_in_consumer: Consumer) -> None:
    assert signed_in_consumer.app.test_client().get("/embed/credits").status_code == 401
