"""The browser of the tests sees what it must: complaints on the console, and pages that somebody can't use."""

import pytest
from playwright.sync_api import Error, Page

from tests.browser.pages import assert_accessible, shoot, sign_in


def test_an_error_on_the_console_is_a_complaint(page: Page, complaints: list[str]) -> None:
    page.goto("/sign-in")
    page.evaluate("console.error('broken')")
    assert complaints == ["error: broken"]
    complaints.clear()


def test_a_page_that_names_no_language_is_not_accessible(page: Page) -> None:
    page.set_content("<title>Words</title><main><h1>Words</h1></main>")
    with pytest.raises(AssertionError, match="html-has-lang"):
        assert_accessible(page)


def test_the_browser_reaches_no_other_machine(page: Page) -> None:
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://example.test/")


def test_the_cast_signs_in_by_the_form(page: Page) -> None:
    sign_in(page, "alice")
    assert page.get_by_role("heading", level=1).is_visible()


def test_a_picture_is_kept_where_nobody_commits_it(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCREENSHOTS", raising=False)
    page.goto("/sign-in")
    picture = shoot(page, "sign-in")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.parent.name == "shots"
