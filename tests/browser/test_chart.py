"""A chart is read by pointer and by keys, from the same figures as its table."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


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
    last, before = page.locator("table tbody tr[data-at]").all()[:-3:-1]
    moment, value = last.locator("th").text_content(), last.locator("td").first.text_content()
    expect(reading).to_have_text(re.compile(rf"^{moment} UTC: v2 {re.escape(value or '')}"))
    page.keyboard.press("ArrowLeft")
    expect(reading).to_have_text(re.compile(rf"^{before.locator('th').text_content()} UTC"))
    assert_accessible(page)
