"""The credits card in a browser: as a page, as a fragment in somebody else's page, and as JSON."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from playwright.sync_api import Page, expect

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from tests.applications import application
from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, shoot
from tests.credit_kinds import ANALYSIS
from tests.credits_engine.conftest import Consumer
from tests.serving import serving

SECRET = "a secret that the product and the card share"
TELEPHONE = {"width": 320, "height": 640}
USED = {"plenty": 74, "low": 75, "nearly": 90, "empty": 100, "topped": 100}
COLOURS = {"plenty": "rgb(29, 122, 70)", "low": "rgb(184, 135, 0)", "nearly": "rgb(179, 38, 30)"}


@pytest.fixture(scope="module")
def base_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the card to users who have used part of their analysis credits; yield its URL."""
    instance = tmp_path_factory.mktemp("card")
    file = shutil.copy(sqlite_template, instance / "rollout.db")
    settings = Settings(database_url=f"sqlite:///{file}", instance_dir=instance, background=False)
    with application(settings) as app, app.app_context():
        consumer = Consumer(app, now=datetime.now(UTC))
        for user, used in USED.items():
            consumer.user(user)
            consumer.take(user, "k1", analysis=used)
        consumer.user("big", "custom")
        purchase = Purchase("topped", ANALYSIS, 40, consumer.now + timedelta(days=30))
        with transaction() as session:
            top_ups.top_up(session, purchase, ChangeContext(consumer.now, "test", "Bought."))
    with serving(instance, USER_JWT_SECRET=SECRET) as served:
        yield served.url


def authorization(user: str) -> dict[str, str]:
    claims = {"sub": user, "exp": datetime.now(UTC) + timedelta(minutes=5)}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


def card(open_page: OpenPage, user: str, form: str = "page", **options: object) -> Page:
    page = open_page(extra_http_headers=authorization(user), **options)
    page.goto(f"/embed/credits?form={form}")
    return page


@pytest.mark.parametrize("user", ["plenty", "low", "nearly", "topped", "big"])
def test_the_card_is_accessible_and_fits_a_telephone(open_page: OpenPage, user: str) -> None:
    page = card(open_page, user, color_scheme="light", viewport=TELEPHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]
    if user == "nearly":
        shoot(page, "credits-card")
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    assert_accessible(page)


@pytest.mark.parametrize(
    ("user", "words"), [("plenty", "plenty left"), ("low", "running low"), ("nearly", "almost used up")]
)
def test_green_yellow_and_red_come_with_words(open_page: OpenPage, user: str, words: str) -> None:
    page = card(open_page, user)
    kind = page.locator(".credits-kind").first
    expect(kind).to_contain_text(f"{USED[user]} of 100 used")
    expect(kind).to_contain_text(words)
    expect(kind).to_have_css("border-left-color", COLOURS[user])
    expect(page.get_by_role("meter").first).to_have_attribute("value", str(USED[user] / 100))
    assert page.get_by_role("link", name="Upgrade").count() == (USED[user] >= 80)


def test_it_counts_down_to_the_renewal_and_says_that_legacy_serves(open_page: OpenPage) -> None:
    page = card(open_page, "plenty")
    expect(page.get_by_text("Legacy", exact=True)).to_be_visible()
    expect(page.get_by_text("Renews in")).to_be_visible()
    ends = page.locator("time").get_attribute("datetime")
    assert ends
    assert datetime.fromisoformat(ends) > datetime.now(UTC)


def test_what_was_bought_is_shown_and_counts(open_page: OpenPage) -> None:
    page = card(open_page, "topped")
    expect(page.get_by_text("40 left", exact=True)).to_be_visible()
    expect(page.get_by_text("40 of them from credit packs")).to_be_visible()
    expect(page.locator(".credits-kind").first).to_contain_text("plenty left")
    assert page.get_by_role("link", name="Upgrade").count() == 0
    expect(card(open_page, "empty").get_by_text("0 left", exact=True)).to_be_visible()


def test_a_fragment_stands_in_the_products_own_page(open_page: OpenPage) -> None:
    fragment = open_page().request.get("/embed/credits?form=fragment", headers=authorization("nearly"))
    text = fragment.text()
    assert "<html" not in text
    page = open_page()
    page.set_content(f"<!doctype html><html lang='en'><title>Shop</title><main><h1>Shop</h1>{text}</main></html>")
    expect(page.get_by_role("heading", name="Credits")).to_be_visible()
    expect(page.get_by_role("meter")).to_have_count(2)
    assert_accessible(page)


def test_json_says_what_the_card_shows(open_page: OpenPage) -> None:
    page = card(open_page, "nearly")
    answer = page.request.get("/embed/credits?form=json", headers=authorization("nearly"))
    usage = answer.json()["data"]["usage"]["analysis"]
    assert (usage["used"], usage["remaining"], usage["level"]) == (90, 10, "critical")
    expect(page.locator(".credits-kind").first).to_contain_text(f"{usage['remaining']} left")


def test_without_a_token_nothing_is_shown(open_page: OpenPage) -> None:
    answer = open_page().request.get("/embed/credits")
    assert answer.status == 401
