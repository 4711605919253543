"""Times by the reader's clock, as the browser says where it is, with UTC on hover; on a page that is live too."""

import re

import pytest
from playwright.sync_api import expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.pages import sign_in


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


def test_times_are_the_readers_from_the_first_page_after_the_sign_in(open_page: OpenPage) -> None:
    page = open_page(timezone_id="Asia/Kathmandu")
    sign_in(page, "alice")
    page.goto(f"/rollouts/{FLAG}")
    expect(page.locator(".live-state")).to_have_text("Live")
    as_of = page.locator("#as-of")
    expect(as_of).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC\+5:45$"))
    expect(as_of).to_have_attribute("title", re.compile(r"\d\d:\d\d UTC$"))
    chart = page.locator("[data-chart]").first
    chart.focus()
    page.keyboard.press("ArrowRight")
    expect(chart.locator(".reading")).to_have_text(re.compile(r"^\d\d:\d\d UTC\+5:45: "))


def test_without_javascript_times_are_in_utc(open_page: OpenPage) -> None:
    page = open_page(timezone_id="Asia/Kathmandu", java_script_enabled=False)
    sign_in(page, "alice")
    expect(page.locator("#as-of")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC$"))
