"""A form that is sent after the session has ended: nothing happens, it is said, and what was written comes back."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.people import PASSWORD

ROLLOUT = "/rollouts/SEEN"
PLAN = f"{ROLLOUT}/plan"
WHY = "A reason that took a while to write."


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


def sign_in_again(page: Page) -> None:
    expect(page.locator("main")).to_contain_text("Your session had ended, so nothing was changed.")
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")


def test_what_was_written_into_a_dialog_is_back_in_it(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in)
    page.goto(ROLLOUT)
    page.get_by_role("link", name="Hold…").click()
    page.get_by_role("dialog").get_by_label("Reason").fill(WHY)
    page.context.clear_cookies()
    page.get_by_role("dialog").get_by_role("button", name="Hold").click()
    sign_in_again(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What you had written is back. Send it again.")
    expect(dialog.get_by_label("Reason")).to_have_value(WHY)
    page.reload()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_plan_of_many_lines_is_back_and_what_reached_the_server_is_not(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in)
    page.goto(PLAN)
    text = page.get_by_label("As YAML")
    written = text.input_value().replace("soak:", "owner: nora\n  soak:", 1)
    text.fill(written)
    page.get_by_label("Reason").fill(WHY)
    page.context.clear_cookies()
    page.get_by_role("button", name="Preview").click()
    sign_in_again(page)
    expect(page.get_by_label("As YAML")).to_have_value(written)
    expect(page.get_by_label("Reason")).to_have_value(WHY)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("main")).not_to_contain_text("What you had written is back")


def test_where_no_server_answers_going_back_brings_it_back(
    open_page: OpenPage, signed_in: Any, complaints: list[str]
) -> None:
    page = open_page(storage_state=signed_in)
    page.route("**/hold", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.goto(ROLLOUT)
    page.get_by_role("link", name="Hold…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(WHY)
    dialog.get_by_role("button", name="Hold").click()
    page.wait_for_url("chrome-error://**")
    page.go_back()
    expect(dialog.get_by_label("Reason")).to_have_value(WHY)
    expect(dialog).to_contain_text("What you had written is back. Send it again.")
    complaints.clear()


def test_without_javascript_one_is_led_back_to_the_page_of_the_form(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in, java_script_enabled=False)
    page.goto(f"{ROLLOUT}/hold")
    page.get_by_label("Reason").fill(WHY)
    page.context.clear_cookies()
    page.get_by_role("button", name="Hold").click()
    sign_in_again(page)
    expect(page.get_by_role("heading", name="Hold the rollout here?")).to_be_visible()


def test_no_password_is_kept(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in)
    page.goto("/account")
    page.get_by_label("Present password").first.fill("a secret of mine")
    page.locator("#password").fill("another secret of mine")
    page.locator("#again").fill("another secret of mine")
    page.context.clear_cookies()
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("main")).to_contain_text("Your session had ended")
    assert "secret of mine" not in page.evaluate("sessionStorage.getItem('draft')")
