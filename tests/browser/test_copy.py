"""Copying a new secret and what to begin with: by the button, without it, and where the browser refuses."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in


def make_token(page: Page, name: str) -> str:
    """Make a token by the form, and return it."""
    sign_in(page, "alice")
    page.goto("/people")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Opens", exact=True).select_option("client")
    page.get_by_role("button", name="Make token").click()
    return page.get_by_label("Secret").input_value()


@pytest.mark.parametrize("granted", [True, False])
def test_the_button_copies_the_secret_and_the_code(open_page: OpenPage, granted: bool) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    secret = make_token(page, f"shop-{granted}")
    if not granted:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    page.get_by_role("button", name="Copy the secret").click()
    expect(page.get_by_role("button", name="Copied the secret")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name=re.compile("Copy Python")).click()
    expect(page.get_by_role("button", name=re.compile("Copied Python"))).to_be_visible()
    assert "from UnleashClient import UnleashClient" in page.evaluate("navigator.clipboard.readText()")
    expect(page.locator("#announcement")).to_have_text("Copied")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_new_token_is_accessible_and_fits_a_telephone(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": 390, "height": 844})
    make_token(page, f"small-{scheme}")
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_there_is_no_button_that_does_nothing(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    assert make_token(page, "plain")
    expect(page.get_by_role("button", name=re.compile("Copy"))).to_have_count(0)
    expect(page.get_by_text("from UnleashClient import UnleashClient")).to_be_visible()
