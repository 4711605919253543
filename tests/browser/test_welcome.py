"""The first page of a new installation: accessible, within a small telephone, ticking by itself."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in

SMALL_TELEPHONE = {"width": 320, "height": 640}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_welcome_is_accessible_and_fits_a_small_telephone(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme, viewport=SMALL_TELEPHONE)
    sign_in(page, "alice")
    expect(page.get_by_role("heading", name="Welcome: three steps to the first rollout")).to_be_visible()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_TELEPHONE["width"]


def test_a_step_ticks_itself_on_an_open_page(page: Page, open_page: OpenPage) -> None:
    sign_in(page, "alice")
    step = page.get_by_role("listitem").filter(has_text="A token for your service")
    expect(step).to_have_class(re.compile("tone-quiet"))
    other = open_page()
    sign_in(other, "alice")
    other.get_by_role("link", name="Make a token").click()
    form = other.locator("section", has=other.get_by_role("heading", name="Make a token"))
    form.get_by_label("Name").fill("shop")
    form.get_by_role("button", name="Make token").click()
    expect(other.get_by_role("heading", name="Begin with it")).to_be_visible()
    expect(step).to_have_class(re.compile("tone-good"))
