"""A chart is read by pointer and by keys, from the same figures as its table."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in


@pytest.fixture(scope="module")
def base_url(staged: str) -> str:
    """The rollouts that are worth looking at."""
    return staged


def test_a_chart_is_read_by_pointer_and_by_keys(open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, "victor")
    page.goto("/alerts/credit_consumption_failure?window=1h")
    chart = page.locator("[data-chart]")
    reading = chart.locator(".reading")
    expect(reading).to_be_hidden()
    chart.locator("svg").hover()
    expect(reading).to_have_text(re.compile(r"^\d\d:\d\d UTC: v2 "))
    page.mouse.move(0, 0)
    expect(reading).to_be_hidden()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Show as table").click()
    last = page.locator("table tbody tr[data-at]").last
    moment, value = last.locator("th").inner_text(), last.locator("td").first.inner_text()
    expect(reading).to_have_text(re.compile(rf"^{moment} UTC: v2 {re.escape(value)}"))
    page.get_by_text("Show as table").focus()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(reading).not_to_have_text(re.compile(rf"^{moment} "))
    assert_accessible(page)
